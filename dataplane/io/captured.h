// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/packet/target.h"

namespace sluice {

// What a tier shows a capture of one packet, beside its bytes.
struct Captured {
    u64 time_ns = 0;      // CLOCK_MONOTONIC
    u32 ifindex = 0;      // of the device it came by
    u32 port = 0;         // ingress, index into node_state.ports; 0: none of ours
    u32 egress = 0;       // likewise; what it leaves by
    u32 word = 0;         // verdict word
    u32 service = 0;      // id + 1; 0: none
    u32 backend = 0;      // id + 1; 0: none
    u32 rule = 0;         // position + 1; 0: the default
    u32 length = 0;       // bytes of the packet
    u32 bytes = 0;        // of them, captured
    bool leaves = false;  // the packet as it leaves, else as it came
};

}  // namespace sluice
