// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What the XDP program shows of a packet while a capture runs (node_state.capture): one event as the packet
// comes, and one with its verdict. Each is followed by bytes of the packet, as it is at that moment. The
// program never yields its CPU in between, so that the two of a packet follow each other in that CPU's
// buffer.
#ifndef SLUICE_BPF_CAPTURE_H
#define SLUICE_BPF_CAPTURE_H

#include "dataplane/packet/target.h"

SHARED_BEGIN

enum capture_kind { CAPTURE_ARRIVED = 1, CAPTURE_DECIDED = 2 };

struct capture_arrived {
    u32 kind;      // CAPTURE_ARRIVED
    u32 length;    // of the packet, bytes
    u32 captured;  // of them, behind this event
    u32 ifindex;   // of the device
    u64 time;      // ns of CLOCK_MONOTONIC
};

struct capture_decided {
    u32 kind;      // CAPTURE_DECIDED
    u32 length;    // of the packet, as it leaves
    u32 captured;  // of them, behind this event; 0 unless the verdict is to forward
    u32 word;      // verdict word (packet/verdict.h)
    u32 port;      // ingress, index into node_state.ports
    u32 egress;
    u32 service;  // id + 1; 0: none
    u32 backend;  // id + 1; 0: none
    u32 rule;     // position + 1; 0: the default
};

SHARED_ASSERT(sizeof(struct capture_arrived) == 24, "no padding");
SHARED_ASSERT(sizeof(struct capture_decided) == 36, "no padding");

SHARED_END

#endif
