// SPDX-License-Identifier: Apache-2.0
//
// epoll with what an event is about in the event itself: an object's address, whose lowest bits say what of
// it is ready.
#pragma once

#include <sys/epoll.h>

#include <cerrno>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice::proxy {

// Whether an error says that the process or the machine has no more sockets to give.
inline bool out_of_descriptors(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

enum class Watched : u8 { client, backend, listener, wake, udp_listener, udp_session, udp_shared };

inline constexpr u32 watch_in = EPOLLIN | EPOLLRDHUP | EPOLLET;
inline constexpr u32 watch_both = watch_in | EPOLLOUT;

class Poller {
public:
    static constexpr u64 kind_mask = 7;  // objects are aligned to at least 8

    static Result<Poller> create() {
        Poller poller;
        poller.epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
        if (!poller.epoll_) return system_error(errno, "epoll_create1");
        return poller;
    }

    // Errno, 0 for done.
    int add(int fd, u32 events, void* object, Watched kind) {
        return control(EPOLL_CTL_ADD, fd, events, object, kind);
    }
    int change(int fd, u32 events, void* object, Watched kind) {
        return control(EPOLL_CTL_MOD, fd, events, object, kind);
    }
    void remove(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

    int wait(epoll_event* events, int count, int timeout_ms) {
        return epoll_wait(epoll_.get(), events, count, timeout_ms);
    }

    template <typename T>
    static T* object(const epoll_event& event) {
        return reinterpret_cast<T*>(event.data.u64 & ~kind_mask);
    }
    static Watched kind(const epoll_event& event) { return static_cast<Watched>(event.data.u64 & kind_mask); }

private:
    Poller() = default;

    int control(int operation, int fd, u32 events, void* object, Watched kind) {
        epoll_event event{};
        event.events = events;
        event.data.u64 = reinterpret_cast<u64>(object) | static_cast<u64>(kind);
        return epoll_ctl(epoll_.get(), operation, fd, &event) == 0 ? 0 : errno;
    }

    UniqueFd epoll_;
};

}  // namespace sluice::proxy
