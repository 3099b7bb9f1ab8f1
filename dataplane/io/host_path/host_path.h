// SPDX-License-Identifier: Apache-2.0
//
// The way back to the host: a frame that a worker took and the engine passes enters the host's stack as if it
// had just arrived on its device.
//
// One TAP device per device stands in between: what is written to it meets a tc action that redirects it to
// the device's ingress, past the XDP program in native and in generic mode.
//
// A port that is no kernel device (DPDK's) has a TAP device of its own name instead: the host's whole stack
// lives on it, with the port's MAC and MTU, and what the stack sends comes out by take().
//
// Where packets must carry a mark that tells them from those that arrived, a pair of veth devices takes the
// TAP's place, since only what a socket sends has a mark (decision 11).
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/io/frame.h"
#include "dataplane/packet/address.h"

namespace sluice {

class HostPath {
public:
    // Creates the TAP device "sluice-host<ifindex>" for `interface`; it goes with this object (or this
    // process). The error says which step the kernel refused: without the host path passed frames are dropped
    // as host_path_full.
    static Result<std::unique_ptr<HostPath>> open(const std::string& interface, u32 ifindex, u32 mtu);

    // The same with the bits of `mark` set in each frame's mark, by the pair of devices "sluice-p<ifindex>"
    // and "sluice-q<ifindex>". They go with this object; what a process that was killed has left of this name
    // is replaced.
    static Result<std::unique_ptr<HostPath>> open_marked(const std::string& interface, u32 ifindex, u32 mtu,
                                                         u32 mark);
    // Takes away what killed processes have left of such pairs.
    static Status remove_pairs();

    ~HostPath();
    HostPath(const HostPath&) = delete;
    HostPath& operator=(const HostPath&) = delete;

    // Creates the TAP device `interface` itself, set up, with the addresses that are added to it; it goes
    // with this object. Fails where an interface of this name exists.
    static Result<std::unique_ptr<HostPath>> create(const std::string& interface, const u8* mac, u32 mtu);
    // An address of the node's on it; `length`: of its network, 0 to 128 (IPv4: 96 more than
    // written). One that is there is fine.
    Status add_address(const struct address& own, u8 length);

    // The next frame that the stack sends by a created device, its first bytes if `room` is short; 0: there
    // is none.
    size_t take(std::span<u8> room);
    int descriptor() const { return tap_.get(); }

    // Copies the frame to the host stack. False: the kernel took no more. Any thread.
    bool deliver(const Frame& frame);

    const std::string& name() const { return name_; }
    u32 ifindex() const { return ifindex_; }
    u64 delivered() const { return delivered_.load(std::memory_order_relaxed); }
    u64 refused() const { return refused_.load(std::memory_order_relaxed); }

private:
    HostPath() = default;

    std::string name_;
    u32 ifindex_ = 0;  // of the device it stands in for, or is
    UniqueFd tap_;     // or the socket on the pair's one end
    bool pair_ = false;
    std::atomic<u64> delivered_{0};
    std::atomic<u64> refused_{0};
};

}  // namespace sluice
