// SPDX-License-Identifier: Apache-2.0
//
// What wakes a worker that sleeps over a DPDK port whose driver has descriptors that are readable as long as
// frames wait (sockets, a TAP device): these, and an eventfd for whoever leaves it work elsewhere. Nothing
// is missed between looking for work and sleeping, so such a worker needs no naps.
#pragma once

#include <memory>
#include <span>

#include "dataplane/base/fd.h"
#include "dataplane/base/waker.h"

namespace sluice {

class Alarm {
public:
    // Null: the kernel refuses one of the descriptors.
    static std::unique_ptr<Alarm> over(std::span<const int> descriptors);

    int descriptor() const { return epoll_.get(); }
    // False as soon as one of the descriptors tells errors only: its device is gone.
    bool is_certain() const { return certain_; }

    // Any thread.
    void ring() { waker_.wake(); }

    // The worker: before it looks for work the last time, and after its sleep.
    void about_to_sleep() { waker_.about_to_sleep(); }
    void awake();

private:
    Alarm(UniqueFd epoll, Waker waker) : epoll_(std::move(epoll)), waker_(std::move(waker)) {}

    UniqueFd epoll_;
    Waker waker_;
    bool certain_ = true;
};

}  // namespace sluice
