// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/alarm.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>

namespace sluice {
namespace {

bool watch(int epoll, int descriptor) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = descriptor;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

// A socket tells once that its device went down, which asking for the error settles.
bool is_broken(int descriptor) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
    pollfd state{descriptor, POLLIN, 0};
    return poll(&state, 1, 0) < 0 || (state.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

}  // namespace

std::unique_ptr<Alarm> Alarm::over(std::span<const int> descriptors) {
    UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
    auto waker = Waker::create();
    if (!epoll || !waker || !watch(epoll.get(), waker->descriptor())) return nullptr;
    for (const int each : descriptors) {
        if (each < 0 || !watch(epoll.get(), each)) return nullptr;
    }
    return std::unique_ptr<Alarm>(new Alarm(std::move(epoll), *std::move(waker)));
}

void Alarm::awake() {
    waker_.awake();
    std::array<epoll_event, 8> events;
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
    for (int i = 0; i < count; ++i) {
        if ((events[i].events & (EPOLLERR | EPOLLHUP)) == 0 || !is_broken(events[i].data.fd)) continue;
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, events[i].data.fd, nullptr);
        certain_ = false;
    }
}

}  // namespace sluice
