// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Stage flow: the entry of the packet's connection, if it has one that is still alive.
#ifndef SLUICE_PIPELINE_FLOW_STAGE_H
#define SLUICE_PIPELINE_FLOW_STAGE_H

#include "dataplane/pipeline/receive.h"

SHARED_BEGIN

SHARED void query_compose(struct pipeline* s, u16 source_port, u16 destination_port, u8 protocol) {
    struct flow_query* q = &s->context->q;
    u8 family = s->context->h.family;
    q->source = flow_endpoint_word(&q->source_address, source_port, protocol, family);
    q->destination = flow_endpoint_word(&q->destination_address, destination_port, protocol, family);
    q->hash = flow_hash(q->source, q->destination, s->tables.node->flow_seed);
}

// When the packet comes from a backend that stands behind one VIP only, puts that VIP into the query:
// CONTEXT_TRANSLATED.
SHARED u32 query_translate(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    bool error = c->h.flags & HEADER_ICMP_ERROR;
    u16 port = error ? c->h.inner_destination_port : c->h.source_port;
    u8 protocol = error ? c->h.inner_protocol : c->h.protocol;
    const struct image_header* header = image_header_of(&s->tables);
    if (!header || !header->reverse) return 0;
    u32 section = header->reverse;
    u32 mask = header->reverse_mask;
    const struct image_reverse* reverse =
        image_reverse_find(&s->tables, section, mask, &c->q.source_address, port, protocol);
    if (!reverse) reverse = image_reverse_find(&s->tables, section, mask, &c->q.source_address, 0, protocol);
    if (!reverse) return 0;
    c->wire_source = c->q.source_address;
    c->q.source_address = reverse->vip;
    c->vip_port = reverse->vip_port ? reverse->vip_port : port;
    c->reverse_service = reverse->service + 1u;
    c->flags |= CONTEXT_TRANSLATED;
    return 0;
}

STAGE_APART(query_translate)

// Composes what the flow is looked up by: ports and protocol of the quoted packet, turned round, for an ICMP
// error.
SHARED void query_begin(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    bool error = c->h.flags & HEADER_ICMP_ERROR;
    u16 source_port = error ? c->h.inner_destination_port : c->h.source_port;
    u16 destination_port = error ? c->h.inner_source_port : c->h.destination_port;
    u8 protocol = error ? c->h.inner_protocol : c->h.protocol;
    if (has_ports(protocol) && interest_has(&s->tables.node->source, &c->q.source_address)) {
        query_translate_apart(s);
        if (c->flags & CONTEXT_TRANSLATED) source_port = c->vip_port;
    }
    query_compose(s, source_port, destination_port, protocol);
}

// The same by the packet's own endpoints: a backend that is itself a client.
SHARED void query_begin_untranslated(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    bool error = c->h.flags & HEADER_ICMP_ERROR;
    c->vip = c->q.source_address;
    c->q.source_address = c->wire_source;
    query_compose(s, error ? c->h.inner_destination_port : c->h.source_port,
                  error ? c->h.inner_source_port : c->h.destination_port,
                  error ? c->h.inner_protocol : c->h.protocol);
}

SHARED bool query_find(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    for (u32 attempt = 0; attempt < 2; attempt++) {
        if (flow_find(&s->tables, &c->q, &s->ref)) {
            if (LIKELY((s->ref.flow->mode & MODE_MASK) != MODE_ALIAS)) return true;
            if (flow_follow_alias(&s->tables, &s->ref)) return true;
        }
        if (attempt || !(c->flags & CONTEXT_TRANSLATED)) return false;
        query_begin_untranslated(s);
    }
    return false;
}

SHARED bool flow_is_denied(const struct flow* flow) { return (flow->mode & MODE_MASK) == MODE_DENIED; }

// A connection whose time is up, or that a new SYN replaces (RFC 9293, 3.10.7.4: a closed pair of endpoints
// is free again). A denial holds for the snapshot that it was asked under.
SHARED bool flow_is_over(const struct pipeline* s) {
    const struct pipeline_context* c = s->context;
    const struct flow* flow = s->ref.flow;
    if (flow_expired(&s->tables, flow, c->now)) return true;
    if (UNLIKELY(flow_is_denied(flow))) return flow->generation != (u16)s->tables.node->generation;
    return UNLIKELY(flow->state == STATE_TCP_CLOSING && s->ref.at->direction == 0 &&
                    (c->h.tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && !(c->h.flags & HEADER_ICMP_ERROR));
}

// Whether the flow's verdict must be asked for anew: the snapshot changed since, or with the next hop's age
// its alias is looked after. Only the initiator's packets are asked about: the rules speak of them.
SHARED bool flow_is_outdated(const struct pipeline* s) {
    const struct flow* flow = s->ref.flow;
    if (s->ref.at->direction || (s->context->h.flags & HEADER_ICMP_ERROR)) return false;
    if (flow->generation != (u16)s->tables.node->generation) return true;
    return (flow->flags & FLOW_ALIASED) && flow->hop[0].stamp != stamp_of(&s->tables, s->context->now);
}

// After query_begin().
SHARED u32 stage_flow(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    if (!query_find(s)) {
        flow_forget(&s->ref);
        c->direction = 0;
        return 0;
    }
    if (UNLIKELY(flow_is_over(s))) {
        flow_remove(&s->tables, &s->ref);
        flow_forget(&s->ref);
        c->direction = 0;
        return 0;
    }
    const struct flow* flow = s->ref.flow;
    c->rule = flow->rule;
    if (UNLIKELY(flow_is_denied(flow))) return drop(REASON_EVALUATION);
    if (((flow->mode & MODE_ENGINE) || (port_of(s, c->port)->flags & PORT_ENGINE)) &&
        may_punt(s, PUNT_SERVICE))
        return punt(PUNT_SERVICE);
    c->direction = s->ref.at->direction;
    c->service = flow->service;
    c->backend = flow->backend;
    c->mode = flow->mode & MODE_MASK;
    c->flags |= CONTEXT_KNOWN;
    if (UNLIKELY(flow_is_outdated(s)))
        c->flags |= CONTEXT_REVALIDATE;
    else if ((flow->flags & FLOW_METERED) && !c->direction)
        c->meter = flow->rule;
    return 0;
}

SHARED_END

#endif
