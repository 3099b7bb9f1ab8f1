// SPDX-License-Identifier: Apache-2.0
//
// A packet ring as a worker's port. Frames are copied into the worker's buffers, since a block goes back to
// the kernel whole, and a frame may wait in the engine. It only receives: frames leave by PacketEgress.
#pragma once

#include "dataplane/io/af_xdp/umem.h"
#include "dataplane/io/packet_socket/packet_ring.h"
#include "dataplane/io/port.h"

namespace sluice {

class PacketPort {
public:
    using Statistics = PacketRingStatistics;

    // Both outlive the port; `buffers` are shared by the worker's ports.
    PacketPort(PacketRing& ring, Umem& buffers) : ring_(ring), buffers_(buffers) {}

    u32 receive(std::span<Frame> frames);
    void release(const Frame& frame) { buffers_.give(frame.tag); }
    bool allocate(Frame& frame);

    void prepare_to_sleep() { ring_.clear_error(); }
    int descriptor() const { return ring_.descriptor(); }
    u32 ifindex() const { return ring_.ifindex(); }
    PacketRingStatistics statistics() const { return ring_.statistics(); }

private:
    bool take(Frame& frame);

    PacketRing& ring_;
    Umem& buffers_;
    WireFrames packet_;  // under way
};

static_assert(Receiver<PacketPort>);

}  // namespace sluice
