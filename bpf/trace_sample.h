// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The sampled trace of the XDP program: what it puts into the ring buffer `trace`.
#ifndef SLUICE_BPF_TRACE_SAMPLE_H
#define SLUICE_BPF_TRACE_SAMPLE_H

#include "bpf/trace.h"
#include "dataplane/tables/lookup.h"

SHARED_COLD void trace_sample(const struct pipeline_context* c, struct worker_counters* counters, u32 every,
                              u32 word) {
    if (++counters->trace_tick < every) return;
    counters->trace_tick = 0;
    struct trace_event* event = bpf_ringbuf_reserve(&trace, sizeof *event, 0);
    if (!event) {
        counters->trace_lost++;
        return;
    }
    counters->trace_events++;
    __builtin_memset(event, 0, sizeof *event);
    event->time = bpf_ktime_get_ns();
    event->word = word;
    event->length = c->length;
    event->ifindex = c->ifindex;
    event->service = c->service;
    event->backend = c->backend;
    event->rule = c->rule;
    event->port = (u8)c->port;
    event->cpu = (u8)bpf_get_smp_processor_id();
    event->vlan = c->h.tags ? c->h.vlan : 0;
    event->family = c->h.family;
    if (event->family) {
        event->source = c->h.source;
        event->destination = c->h.destination;
        event->protocol = c->h.protocol;
        event->source_port = c->h.source_port;
        event->destination_port = c->h.destination_port;
        event->tcp_flags = c->h.tcp_flags;
    }
    bpf_ringbuf_submit(event, 0);
}

// Called where a packet's verdict is counted.
SHARED void trace_packet(const struct tables* t, u32 word) {
    u32 every = t->node->trace_every;
    if (LIKELY(!every)) return;
    struct worker_counters* counters = worker_counters_of(t);
    if (counters) trace_sample(t->context, counters, every, word);
}

#endif
