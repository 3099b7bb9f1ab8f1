// SPDX-License-Identifier: Apache-2.0
//
// A DPDK device (net_ring) whose wire is in this process: what replay, tests and benchmarks drive real ports
// with.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/io/dpdk/dpdk_device.h"

namespace sluice {

class RingDevice {
public:
    // `options.device` is the name, unique in the process; a ring of `length` (a power of two) for each of
    // the receive queues and for as many transmit queues. EAL runs.
    static Result<std::unique_ptr<RingDevice>> create(const DpdkDeviceOptions& options, u32 length = 1024);
    ~RingDevice();
    RingDevice(const RingDevice&) = delete;
    RingDevice& operator=(const RingDevice&) = delete;

    DpdkDevice& device() { return *device_; }

    // Puts a frame on the wire towards the port, in segments of `segment` bytes (0: one). False: no buffer or
    // no room.
    bool offer(std::span<const u8> frame, u16 queue = 0, u32 segment = 0);
    // The next frame that the port sent on `queue`; false: there is none.
    bool take(std::vector<u8>& frame, u16 queue = 0);

    rte_ring* towards(u16 queue) { return towards_[queue]; }
    rte_ring* from(u16 queue) { return from_[queue]; }

private:
    RingDevice() = default;

    std::vector<rte_ring*> towards_, from_;
    std::unique_ptr<DpdkDevice> device_;
};

}  // namespace sluice
