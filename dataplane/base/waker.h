// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"

namespace sluice {

// How one thread wakes another that may be asleep at a descriptor (an eventfd): with a system call only if it
// is. The sleeper calls about_to_sleep(), looks for work once more, sleeps until descriptor() is readable,
// and calls awake(). The other writes what is to be found, then calls wake().
class Waker {
public:
    static Result<Waker> create();
    Waker(Waker&& other) noexcept : event_(std::move(other.event_)) {}

    int descriptor() const { return event_.get(); }

    void about_to_sleep() {
        asleep_.store(true, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    void awake();

    void wake() {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (asleep_.load(std::memory_order_relaxed)) notify();
    }

private:
    explicit Waker(UniqueFd event) : event_(std::move(event)) {}
    void notify();

    UniqueFd event_;
    std::atomic<bool> asleep_{false};
};

}  // namespace sluice
