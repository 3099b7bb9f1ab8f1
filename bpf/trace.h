// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Sampled trace: one event per node_state.trace_every packets of each CPU, as seen when the packet's verdict
// is counted.
#ifndef SLUICE_BPF_TRACE_H
#define SLUICE_BPF_TRACE_H

#include "dataplane/tables/context.h"

SHARED_BEGIN

struct trace_event {
    u64 time;  // ns of CLOCK_MONOTONIC
    struct address source;
    struct address destination;
    u32 word;     // verdict word (packet/verdict.h)
    u32 length;   // bytes received
    u32 ifindex;  // device it came from
    u32 service;  // id + 1; 0: none
    u32 backend;  // id + 1; 0: none
    u32 rule;     // position + 1; 0: the default
    u16 source_port;
    u16 destination_port;
    u16 vlan;  // outer tag's control word; 0: untagged
    u8 port;   // ingress, index into node_state.ports
    u8 protocol;
    u8 family;  // 4 or 6; 0: not IP, and of addresses, ports and protocol nothing is known
    u8 tcp_flags;
    u8 cpu;  // low bits
    u8 reserved[5];
};

SHARED_ASSERT(sizeof(struct trace_event) == 80, "no padding");

SHARED_END

#endif
