// SPDX-License-Identifier: Apache-2.0
//
// The way back to the host: a frame that a worker took and the engine passes enters the host's stack as if it
// had just arrived on its device.
//
// One TAP device per device stands in between: what is written to it meets a tc action that redirects it to
// the device's ingress, past the XDP program in native and in generic mode.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/io/frame.h"

namespace sluice {

class HostPath {
public:
    // Creates the TAP device "sluice-host<ifindex>" for `interface`; it goes with this object (or this
    // process). The error says which step the kernel refused: without the host path passed frames are dropped
    // as host_path_full.
    static Result<std::unique_ptr<HostPath>> open(const std::string& interface, u32 ifindex, u32 mtu);

    // Copies the frame to the host stack. False: the kernel took no more. Any thread.
    bool deliver(const Frame& frame);

    const std::string& name() const { return name_; }
    u32 ifindex() const { return ifindex_; }
    u64 delivered() const { return delivered_.load(std::memory_order_relaxed); }
    u64 refused() const { return refused_.load(std::memory_order_relaxed); }

private:
    HostPath() = default;

    std::string name_;
    u32 ifindex_ = 0;  // of the device it stands in for
    UniqueFd tap_;
    std::atomic<u64> delivered_{0};
    std::atomic<u64> refused_{0};
};

}  // namespace sluice
