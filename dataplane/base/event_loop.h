// SPDX-License-Identifier: Apache-2.0
//
// A small epoll loop for control threads: descriptors, timers (timerfd), signals (signalfd) and work posted
// from other threads, each with a callback. One thread runs it; only stop() and post() may be called from
// others. Handlers may add and remove watches, their own included, while they run.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"

namespace sluice {

class EventLoop {
public:
    // Handle of a watch, timer or signal set, for remove(). Never reused within one loop.
    using Id = std::uint64_t;
    using Duration = std::chrono::nanoseconds;

    static Result<std::unique_ptr<EventLoop>> create();

    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // Calls `handler` with the ready events (EPOLLIN, ...) of `fd`, level-triggered. The caller keeps owning
    // `fd` and removes the watch before closing it.
    Result<Id> watch(int fd, std::uint32_t events, std::function<void(std::uint32_t)> handler);

    // Changes the events of a watch made by watch().
    Status change(Id id, std::uint32_t events);

    // Once after `delay`, or every `period` (first after one period). Missed periods are not made up for.
    Result<Id> after(Duration delay, std::function<void()> handler);
    Result<Id> every(Duration period, std::function<void()> handler);

    // Blocks `signals` for the calling thread and takes them in the loop. Call before starting threads: they
    // inherit the mask, and a signal blocked everywhere else cannot end the process.
    Result<Id> on_signals(std::initializer_list<int> signals, std::function<void(int)> handler);

    // Forgets a watch, timer or signal set; an unknown id is ignored. Signals stay blocked.
    void remove(Id id);

    // Runs `work` once on the loop's thread. Any thread.
    void post(std::function<void()> work);

    // Dispatches until stop(). Can be called again afterwards. Fails only if epoll itself does.
    Status run();

    // Makes run() return after the handlers of the present round; before run(), makes the next one return at
    // once. Any thread.
    void stop();

private:
    struct Watch {
        int fd;
        UniqueFd owned;  // timerfd or signalfd; empty for the caller's descriptors
        std::function<void(std::uint32_t)> handler;
    };

    EventLoop() = default;

    Result<Id> add(int fd, UniqueFd owned, std::uint32_t events, std::function<void(std::uint32_t)> handler);
    Result<Id> add_timer(Duration delay, Duration period, std::function<void()> handler);
    void wake();
    void run_posted();

    UniqueFd epoll_;
    UniqueFd wake_;
    Id next_id_ = 1;
    std::unordered_map<Id, std::shared_ptr<Watch>> watches_;
    std::mutex mutex_;  // guards the two below
    std::vector<std::function<void()>> posted_;
    bool stopping_ = false;
};

}  // namespace sluice
