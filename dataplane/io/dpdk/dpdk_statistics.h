// SPDX-License-Identifier: Apache-2.0
//
// What DPDK devices and ports report. Plain data: needs no libdpdk.
#pragma once

#include "dataplane/packet/target.h"

namespace sluice {

struct DpdkLink {
    bool up = false;
    u32 mbps = 0;  // 0: unknown
    bool full_duplex = false;
};

// The device's own counters (rte_eth_stats), since it was opened.
struct DpdkDeviceStatistics {
    u64 received = 0;
    u64 received_bytes = 0;
    u64 sent = 0;
    u64 sent_bytes = 0;
    u64 missed = 0;  // imissed: no room in the receive ring, and net_af_xdp's full rings
    u64 receive_errors = 0;
    u64 no_buffer = 0;  // rx_nombuf: the pool was dry
    u64 transmit_errors = 0;
    u64 host_frames = 0;     // host path: frames that went to the inlet
    u64 host_no_buffer = 0;  // host path: the pool was dry
    u64 inlet_full = 0;      // frames that the inlet had no room for
    u32 buffers = 0;         // of the pool
    u32 buffers_in_use = 0;  // in rings, in the engine, on the way
};

struct DpdkPortStatistics {
    u64 received = 0;       // frames given to the worker
    u64 sent = 0;           // frames that the device took
    u64 handed_over = 0;    // to the inlet, for the worker of transmit queue 0
    u64 transmit_full = 0;  // send() refused: queue or inlet full
    u64 oversize = 0;       // frames in several segments, longer than a buffer: dropped
    u64 no_buffer = 0;      // dropped: no buffer to join a frame's segments in, or for a fragment
    u64 inlet_sent = 0;     // frames of the host path and of other workers, sent for them
    u64 inlet_dropped = 0;  // of these, those that the device did not take

    DpdkPortStatistics& operator+=(const DpdkPortStatistics& other) {
        received += other.received;
        sent += other.sent;
        handed_over += other.handed_over;
        transmit_full += other.transmit_full;
        oversize += other.oversize;
        no_buffer += other.no_buffer;
        inlet_sent += other.inlet_sent;
        inlet_dropped += other.inlet_dropped;
        return *this;
    }
};

}  // namespace sluice
