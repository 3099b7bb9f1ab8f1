// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

namespace sluice {

namespace {

timespec to_timespec(EventLoop::Duration duration) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
    return {seconds.count(), (duration - seconds).count()};
}

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
    std::unique_ptr<EventLoop> loop(new EventLoop);
    loop->epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    if (!loop->epoll_) return system_error(errno, "epoll_create1");
    loop->wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!loop->wake_) return system_error(errno, "eventfd");
    const auto woken = [self = loop.get()](std::uint32_t) { self->run_posted(); };
    if (auto added = loop->add(loop->wake_.get(), UniqueFd(), EPOLLIN, woken); !added) return added.error();
    return loop;
}

Result<EventLoop::Id> EventLoop::watch(int fd, std::uint32_t events,
                                       std::function<void(std::uint32_t)> handler) {
    return add(fd, UniqueFd(), events, std::move(handler));
}

Result<EventLoop::Id> EventLoop::add(int fd, UniqueFd owned, std::uint32_t events,
                                     std::function<void(std::uint32_t)> handler) {
    const Id id = next_id_++;
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        return system_error(errno, "epoll: add fd {}", fd);
    watches_.emplace(id, std::make_shared<Watch>(Watch{fd, std::move(owned), std::move(handler)}));
    return id;
}

Status EventLoop::change(Id id, std::uint32_t events) {
    const auto found = watches_.find(id);
    if (found == watches_.end()) return make_error("epoll: no watch with id {}", id);
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    const int fd = found->second->fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0)
        return system_error(errno, "epoll: change fd {}", fd);
    return {};
}

void EventLoop::remove(Id id) {
    const auto found = watches_.find(id);
    if (found == watches_.end()) return;
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second->fd, nullptr);
    watches_.erase(found);
}

Result<EventLoop::Id> EventLoop::after(Duration delay, std::function<void()> handler) {
    return add_timer(delay, Duration::zero(), std::move(handler));
}

Result<EventLoop::Id> EventLoop::every(Duration period, std::function<void()> handler) {
    if (period <= Duration::zero())
        return make_error("timer period {} ns: expected more than 0", period.count());
    return add_timer(period, period, std::move(handler));
}

Result<EventLoop::Id> EventLoop::add_timer(Duration delay, Duration period, std::function<void()> handler) {
    // A zero it_value would disarm the timer instead of firing it at once.
    if (delay <= Duration::zero()) delay = Duration(1);
    UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer) return system_error(errno, "timerfd_create");
    const itimerspec times{to_timespec(period), to_timespec(delay)};
    if (timerfd_settime(timer.get(), 0, &times, nullptr) != 0) return system_error(errno, "timerfd_settime");

    const int fd = timer.get();
    const Id id = next_id_;
    const bool once = period == Duration::zero();
    auto fired = [this, fd, id, once, work = std::move(handler)](std::uint32_t) {
        std::uint64_t expirations = 0;
        if (read(fd, &expirations, sizeof expirations) != static_cast<ssize_t>(sizeof expirations)) return;
        if (once) remove(id);
        work();
    };
    return add(fd, std::move(timer), EPOLLIN, std::move(fired));
}

Result<EventLoop::Id> EventLoop::on_signals(std::initializer_list<int> signals,
                                            std::function<void(int)> handler) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) {
        if (sigaddset(&set, signal) != 0) return system_error(errno, "signal {}", signal);
    }
    if (const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
        return system_error(error, "pthread_sigmask");
    }
    UniqueFd source(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!source) return system_error(errno, "signalfd");

    const int fd = source.get();
    auto arrived = [fd, take = std::move(handler)](std::uint32_t) {
        signalfd_siginfo info{};
        if (read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info))
            take(static_cast<int>(info.ssi_signo));
    };
    return add(fd, std::move(source), EPOLLIN, std::move(arrived));
}

void EventLoop::post(std::function<void()> work) {
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(work));
    }
    wake();
}

void EventLoop::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake();
}

void EventLoop::wake() {
    // Fails only when the counter is full, and then the loop is being woken already.
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

void EventLoop::run_posted() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t drained = read(wake_.get(), &count, sizeof count);
    std::vector<std::function<void()>> ready;
    {
        const std::lock_guard lock(mutex_);
        ready.swap(posted_);
    }
    for (const auto& work : ready) work();
}

Status EventLoop::run() {
    std::array<epoll_event, 32> events;
    for (;;) {
        {
            const std::lock_guard lock(mutex_);
            if (std::exchange(stopping_, false)) return {};
        }
        const int ready = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return system_error(errno, "epoll_wait");
        for (int i = 0; i < ready; ++i) {
            // A handler earlier in this round may have removed it; the copy keeps it alive while it runs.
            const auto found = watches_.find(events[i].data.u64);
            if (found == watches_.end()) continue;
            const std::shared_ptr<Watch> watch = found->second;
            watch->handler(events[i].events);
        }
    }
}

}  // namespace sluice
