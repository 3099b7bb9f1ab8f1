// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/packet/target.h"

namespace sluice {

enum class ZeroCopy : u8 { automatic, require, never };

struct XskRings {
    u32 receive = 2048;
    u32 transmit = 2048;
    u32 fill = 2048;
    u32 completion = 2048;
};

// One socket to open: a queue of a device.
struct XskQueue {
    std::string interface;
    u32 ifindex = 0;
    u8 device = 0;  // number of the device's port
    u32 queue = 0;
};

struct XskOptions {
    XskRings rings;
    ZeroCopy zero_copy = ZeroCopy::automatic;
    bool busy_poll = false;     // preferred busy polling: the worker drives the device's NAPI itself
    u32 busy_poll_us = 20;      // SO_BUSY_POLL
    u32 busy_poll_budget = 64;  // SO_BUSY_POLL_BUDGET
};

// The kernel's XDP_STATISTICS, and the socket's own.
struct XskStatistics {
    u64 received = 0;            // frames
    u64 sent = 0;                // frames given to the transmit ring
    u64 transmit_full = 0;       // send() refused: ring full
    u64 rx_dropped = 0;          // kernel: for reasons other than the next four
    u64 rx_ring_full = 0;        // kernel: the worker was too slow
    u64 rx_fill_ring_empty = 0;  // kernel: no buffer to receive into
    u64 rx_invalid = 0;          // kernel: bad address in the fill ring
    u64 tx_invalid = 0;          // kernel: bad descriptor in the transmit ring
    u64 tx_ring_empty = 0;       // kernel: looked for something to send in vain
};

// Where the buffers of a set of sockets are. At quiescence (nothing arriving, nothing being sent) they add
// up; read while frames move, each number is of its own moment, and those in a worker's hands are missing.
struct FrameCensus {
    u32 total = 0;
    u32 free = 0;
    u32 in_fill = 0;        // in fill rings
    u32 in_receive = 0;     // in receive rings
    u32 in_transmit = 0;    // in transmit rings or the kernel's send queues
    u32 in_completion = 0;  // in completion rings
    u32 in_kernel = 0;      // taken from a fill ring and not yet in the receive ring
    u32 held = 0;           // by the worker's engine, waiting for a neighbour or a first fragment

    u32 sum() const { return free + in_fill + in_receive + in_transmit + in_completion + in_kernel + held; }
    bool adds_up() const { return total == sum(); }
};

}  // namespace sluice
