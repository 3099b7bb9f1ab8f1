// SPDX-License-Identifier: Apache-2.0
#include "perf/round_trip/server.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <cerrno>
#include <unordered_map>

namespace sluice::perf {

namespace {

class Delays {
public:
    explicit Delays(const std::vector<u32>& us) : us_(us) {}

    void next() {
        if (us_.empty()) return;
        const u32 us = us_[turn_++ % us_.size()];
        const timespec sleep{us / 1'000'000, static_cast<long>(us % 1'000'000) * 1000};
        if (us) nanosleep(&sleep, nullptr);
    }

private:
    const std::vector<u32>& us_;
    size_t turn_ = 0;
};

Status serve_datagrams(int fd, Delays delays) {
    std::vector<u8> buffer(1 << 16);
    for (;;) {
        sockaddr_storage from{};
        socklen_t length = sizeof from;
        auto* peer = reinterpret_cast<sockaddr*>(&from);
        const ssize_t got = recvfrom(fd, buffer.data(), buffer.size(), 0, peer, &length);
        if (got < 0 && errno == EINTR) return {};
        if (got < 0) return system_error(errno, "receive");
        delays.next();
        sendto(fd, buffer.data(), static_cast<size_t>(got), 0, peer, length);
    }
}

class StreamServer {
public:
    StreamServer(int listener, u32 bytes, Delays delays)
        : listener_(listener), bytes_(bytes), delays_(delays), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
        watch(listener);
    }

    Status run() {
        epoll_event events[64];
        for (;;) {
            const int ready = epoll_wait(epoll_.get(), events, 64, -1);
            if (ready < 0) return errno == EINTR ? Status{} : system_error(errno, "epoll_wait");
            for (int i = 0; i < ready; i++) {
                if (events[i].data.fd == listener_)
                    accept_one();
                else if (!answer(events[i].data.fd))
                    connections_.erase(events[i].data.fd);
            }
        }
    }

private:
    struct Connection {
        UniqueFd fd;
        std::vector<u8> arrived;
    };

    void watch(int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
    }

    void accept_one() {
        UniqueFd fd(accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd) return;
        watch(fd.get());
        const int number = fd.get();
        connections_[number] = {std::move(fd), {}};
    }

    // False: the connection has ended.
    bool answer(int fd) {
        const ssize_t got = recv(fd, buffer_.data(), buffer_.size(), 0);
        if (got <= 0) return false;
        std::vector<u8>& all = connections_[fd].arrived;
        all.insert(all.end(), buffer_.begin(), buffer_.begin() + got);
        size_t at = 0;
        for (; at + bytes_ <= all.size(); at += bytes_) {
            delays_.next();
            if (send(fd, all.data() + at, bytes_, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes_)) return false;
        }
        all.erase(all.begin(), all.begin() + static_cast<ssize_t>(at));
        return true;
    }

    int listener_;
    u32 bytes_;
    Delays delays_;
    UniqueFd epoll_;
    std::unordered_map<int, Connection> connections_;
    std::vector<u8> buffer_ = std::vector<u8>(1 << 16);
};

}  // namespace

Status serve(const Endpoint& at, bool tcp, u32 bytes, const std::vector<u32>& delays) {
    const Result<UniqueFd> fd = listen_at(at, tcp);
    if (!fd) return fd.error();
    if (tcp) return StreamServer(fd->get(), bytes, Delays(delays)).run();
    return serve_datagrams(fd->get(), Delays(delays));
}

}  // namespace sluice::perf
