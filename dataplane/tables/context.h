// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What the stages know of the packet in hand. Plain data (in BPF a per-CPU map value): pointers live in
// struct pipeline.
#ifndef SLUICE_TABLES_CONTEXT_H
#define SLUICE_TABLES_CONTEXT_H

#include "dataplane/packet/parse.h"
#include "dataplane/tables/flow.h"

SHARED_BEGIN

enum { POLICY_DIMENSIONS = 9, POLICY_ROWS = POLICY_DIMENSIONS + 1, POLICY_ROW_SLOTS = 16 };

// Where a flow was found, or is being written.
struct flow_place {
    u32 index;
    u32 version;
    u32 direction;  // 0: the packet comes from the initiator, 1: from the responder
    u32 reserved;
};

struct next_hop {
    u8 mac[6];
    u16 port;  // egress, index into node_state.ports; 0: none
};

enum context_flags {
    CONTEXT_KNOWN = 1,         // a flow was found
    CONTEXT_REVALIDATE = 2,    // it was allowed by an older snapshot
    CONTEXT_TRANSLATED = 4,    // the query's source is the VIP that the reply's backend stands for
    CONTEXT_DECAPSULATED = 8,  // came out of a tunnel: entered once
    CONTEXT_STATELESS = 16,    // no entry of its own: served by the scratch slot
    CONTEXT_ECHO = 32,         // an echo request to a VIP, to be answered
    CONTEXT_METERED = 64,      // charged to the meter of rule `meter`
    CONTEXT_SPLIT = 128,       // leaves in fragments, by the MTU of the egress port
    CONTEXT_EVALUATED = 256,   // the epoll tier's verdict about its flow has come
    CONTEXT_UNASKED = 512      // with CONTEXT_REVALIDATE: the question found no room, the next packet asks
};

// What one step of the short way (pipeline/settled.h) leaves to the next.
struct settled {
    u64 source;  // endpoint words, as in struct flow_query
    u64 destination;
    u64 hash;
    u32 port;                       // ingress
    u32 index;                      // of the flow's slot
    struct address source_address;  // IPv6: what the words fold
    struct address destination_address;
};

struct pipeline_context {
    struct headers h;
    struct flow_query q;
    struct flow_query alias_q;
    struct settled settled;
    u32 now;         // ticks
    u32 length;      // bytes received
    u32 ifindex;     // device it came from
    u32 flags;       // context_flags
    u32 port;        // ingress, index into node_state.ports
    u32 direction;   // 0: initiator to responder
    u32 service;     // id + 1; 0: none
    u32 backend;     // id + 1; 0: none
    u32 rule;        // position + 1; 0: the default
    u32 dry_run;     // the same of the one in dry run that would have decided; 0: none
    u16 vip_port;    // with CONTEXT_TRANSLATED: the query's source port
    u16 alias_port;  // of the client as the backend sees it
    struct address alias_client;
    u32 alias_version;              // the flow's, once published
    struct address wire_source;     // with CONTEXT_TRANSLATED: the query's source before it
    struct address vip;             // that VIP, once the query is by the packet's own endpoints
    u32 reverse_service;            // id + 1 of the service that the translation named
    u32 tunnel;                     // tunnel_type of the destination
    u32 destination_flags;          // of the LPM record
    u32 limit;                      // for answer TOO_BIG: the MTU to report
    struct flow_place place;        // of the packet's flow
    struct flow_place alias_place;  // of its alias
    struct flow_place other_place;
    u32 policy_rows[POLICY_ROW_SLOTS];  // first lines of the rows that the packet's fields select
    u32 policy_row_count;
    u32 policy_group;  // summary word whose rules are looked at
    u64 forgotten;     // see forget() in bpf/maps.h
    u64 fib[8];        // struct bpf_fib_lookup, off the program's small stack
    struct next_hop hop;
    // The chosen backend, of a new flow
    struct address backend_address;
    u16 backend_port;
    u16 policy_destination_row;
    u16 policy_service_row;
    u8 mode;
    u8 service_flags;
    u8 rule_flags;  // of the rule that decided
    u8 dscp;
    u32 meter;  // position + 1 of the rule whose rate applies to this packet
};

SHARED_END

#endif
