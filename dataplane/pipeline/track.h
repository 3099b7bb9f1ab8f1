// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Stage track: what the packet does to its flow's state, time stamp and counters.
#ifndef SLUICE_PIPELINE_TRACK_H
#define SLUICE_PIPELINE_TRACK_H

#include "dataplane/pipeline/admit.h"

SHARED_BEGIN

SHARED bool mode_sees_replies(u8 mode) {
    return mode == MODE_ROUTE || mode == MODE_NAT || mode == MODE_FULLNAT;
}

// TCP states as far as time-outs need them. In the dsr modes only the initiator is seen, and its FIN is
// enough.
SHARED void track_tcp(struct flow* flow, u8 tcp_flags, u32 direction) {
    u8 mode = flow->mode & MODE_MASK;
    if (UNLIKELY(tcp_flags & TCP_RST)) {
        flow->state = STATE_TCP_CLOSING;
        return;
    }
    if (UNLIKELY(tcp_flags & TCP_FIN)) {
        u8 both = FLOW_FIN_INITIATOR | FLOW_FIN_RESPONDER;
        flow->flags |= direction ? FLOW_FIN_RESPONDER : FLOW_FIN_INITIATOR;
        if ((flow->flags & both) == both || !mode_sees_replies(mode)) flow->state = STATE_TCP_CLOSING;
        return;
    }
    if (flow->state == STATE_TCP_SYN && direction == 0 && (tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_ACK)
        flow->state = STATE_TCP_ESTABLISHED;
}

SHARED void count_pair(struct pair_counters* pair, u32 length) {
    pair->packets++;
    pair->bytes += length;
}

// What every packet of a flow leaves behind, whatever its state. INDEX: of the flow's slot.
SHARED void track_packet(const struct tables* t, struct flow* flow, u32 index, u32 direction, u32 length,
                         u32 now) {
    if (flow->last_seen != now) flow->last_seen = now;
    struct flow_counters* counters = flow_counters_at(t, index);
    if (!counters) return;
    u32 packets = counters->packets[direction & 1];
    counters->packets[direction & 1] = packets + (packets != 0xffffffff);
    counters->bytes[direction & 1] += length;
}

// BACKEND: id + 1; 0: none.
SHARED void track_backend(const struct tables* t, u32 backend, u32 direction, u32 length) {
    if (!backend) return;
    struct backend_counters* counters = backend_counters_at(t, backend - 1);
    if (counters) count_pair(direction & 1 ? &counters->from : &counters->to, length);
}

SHARED u32 stage_track(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    struct flow* flow = s->ref.flow;
    u32 direction = c->direction & 1;
    if (!flow) return drop(REASON_FLOW_REPLACED);
    track_backend(&s->tables, c->backend, direction, c->length);
    if (UNLIKELY(c->flags & CONTEXT_STATELESS)) return 0;
    if (UNLIKELY(c->h.flags & HEADER_ICMP_ERROR)) return 0;
    if (c->h.protocol == PROTOCOL_TCP) track_tcp(flow, c->h.tcp_flags, direction);
    if (UNLIKELY(direction && !(flow->flags & FLOW_REPLIED))) flow->flags |= FLOW_REPLIED;
    track_packet(&s->tables, flow, s->ref.at->index, direction, c->length, c->now);
    return 0;
}

SHARED_END

#endif
