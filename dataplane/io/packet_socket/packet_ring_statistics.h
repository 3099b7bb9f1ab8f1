// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/packet/target.h"

namespace sluice {

struct PacketRingStatistics {
    u64 packets = 0;     // taken out of the ring
    u64 frames = 0;      // that they were on the wire
    u64 joined = 0;      // packets that were several frames
    u64 checksums = 0;   // that were left to hardware, and finished here
    u64 tagged = 0;      // frames whose VLAN tag was put back
    u64 unreadable = 0;  // packets that could not be made frames: cut off, or of an unknown offload
    u64 too_long = 0;    // frames longer than a buffer
    u64 lost = 0;        // packets that found no room in the ring (tp_drops)

    PacketRingStatistics& operator+=(const PacketRingStatistics& other) {
        packets += other.packets;
        frames += other.frames;
        joined += other.joined;
        checksums += other.checksums;
        tagged += other.tagged;
        unreadable += other.unreadable;
        too_long += other.too_long;
        lost += other.lost;
        return *this;
    }
};

}  // namespace sluice
