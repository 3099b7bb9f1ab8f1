// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Counters: per CPU in BPF, per worker natively, each with one writer; summed when read.
#ifndef SLUICE_TABLES_COUNTERS_H
#define SLUICE_TABLES_COUNTERS_H

#include "dataplane/packet/verdict.h"

SHARED_BEGIN

enum { VERDICT_ROWS = 16, PUNT_ROWS = 16 };
SHARED_ASSERT((u32)VERDICT_COUNT <= (u32)VERDICT_ROWS, "verdicts outgrew their counters");
SHARED_ASSERT((u32)PUNT_COUNT <= (u32)PUNT_ROWS, "punt kinds outgrew their counters");

// Of one ingress port. received = sum over verdicts, once nothing is in flight.
struct port_counters {
    u64 received_packets;
    u64 received_bytes;  // Ethernet frame without FCS, as received
    u64 packets[VERDICT_ROWS];
    u64 bytes[VERDICT_ROWS];
    u64 drops[REASON_ROWS];
    u64 punts[PUNT_ROWS];
};

// Of one backend or one rule. A backend counts what was forwarded to it (initiator) and what it sent back
// (responder); a rule counts the packets it decided.
struct pair_counters {
    u64 packets;
    u64 bytes;
};

struct backend_counters {
    struct pair_counters to;
    struct pair_counters from;
    u64 flows;  // created
};

// Of one CPU or worker.
struct worker_counters {
    u64 flows_created;
    u64 flows_evicted;    // live entries replaced because both buckets were full
    u64 flows_reclaimed;  // expired entries replaced
    u64 flows_busy;       // inserts given up because another writer held the slots
    u64 neighbors_missing;
    u64 evaluations_unasked;  // packets that got their evaluate rule's fallback
    u64 trace_events;
    u64 trace_lost;
    u64 trace_tick;
};

SHARED_END

#endif
