// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/waker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace sluice {

Result<Waker> Waker::create() {
    UniqueFd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) return system_error(errno, "eventfd");
    return Waker(std::move(event));
}

void Waker::awake() {
    asleep_.store(false, std::memory_order_relaxed);
    uint64_t count = 0;
    if (read(event_.get(), &count, sizeof count) < 0) return;  // it was not by notify() that the sleep ended
}

// One notice is enough until the sleeper is up. A full counter wakes as well: what write() says is no matter.
void Waker::notify() {
    if (!asleep_.exchange(false, std::memory_order_relaxed)) return;
    const uint64_t one = 1;
    if (write(event_.get(), &one, sizeof one) < 0) return;
}

}  // namespace sluice
