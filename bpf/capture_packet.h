// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Shows packets to a capture, by the buffers in `capture`. Where no capture runs this is one test of
// node_state.capture on either side of the pipeline.
#ifndef SLUICE_BPF_CAPTURE_PACKET_H
#define SLUICE_BPF_CAPTURE_PACKET_H

#include "bpf/capture.h"
#include "dataplane/pipeline/pipeline.h"

// Packet bytes to put behind an event, as bpf_perf_event_output() has it in its flags.
SHARED u64 capture_flags(u32 bytes) { return (u64)bytes << 32 | BPF_F_CURRENT_CPU; }

SHARED u32 capture_most(const struct pipeline* s, u32 length) {
    u32 most = s->tables.node->capture;
    return length < most ? length : most;
}

SHARED_COLD void capture_show_arrived(struct pipeline* s, struct xdp_md* xdp) {
    const struct pipeline_context* c = s->context;
    struct capture_arrived event = {CAPTURE_ARRIVED, c->length, capture_most(s, c->length), c->ifindex,
                                    bpf_ktime_get_ns()};
    bpf_perf_event_output(xdp, &capture, capture_flags(event.captured), &event, sizeof event);
}

SHARED_COLD void capture_show_decided(struct pipeline* s, struct xdp_md* xdp, u32 word) {
    const struct pipeline_context* c = s->context;
    u32 length = (u32)(xdp->data_end - xdp->data);
    u32 captured = verdict_of(word) == VERDICT_FORWARD ? capture_most(s, length) : 0;
    struct capture_decided event = {CAPTURE_DECIDED, length,     captured,   word,   c->port,
                                    c->hop.port,     c->service, c->backend, c->rule};
    bpf_perf_event_output(xdp, &capture, capture_flags(captured), &event, sizeof event);
}

SHARED void capture_arrived(struct pipeline* s, struct xdp_md* xdp) {
    if (UNLIKELY(s->tables.node->capture)) capture_show_arrived(s, xdp);
}

SHARED void capture_decided(struct pipeline* s, struct xdp_md* xdp, u32 word) {
    if (UNLIKELY(s->tables.node->capture)) capture_show_decided(s, xdp, word);
}

#endif
