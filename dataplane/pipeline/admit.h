// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Stage admit: writes the flow's entry, the whole rewrite precomputed, and for replies that do not name their
// VIP an alias.
#ifndef SLUICE_PIPELINE_ADMIT_H
#define SLUICE_PIPELINE_ADMIT_H

#include "dataplane/pipeline/backend.h"

SHARED_BEGIN

enum { NAT_ATTEMPTS = 4 };

SHARED u8 flow_first_state(const struct pipeline_context* c) {
    u8 protocol = c->h.protocol;
    if (protocol == PROTOCOL_TCP) return c->h.tcp_flags & TCP_SYN ? STATE_TCP_SYN : STATE_TCP_ESTABLISHED;
    if (protocol == PROTOCOL_UDP) return STATE_UDP;
    if (protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6) return STATE_ICMP;
    return STATE_OTHER;
}

// The node's own address that fullnat puts in as the source: of the port the packet came by. Replies return
// to it.
SHARED bool nat_address(const struct pipeline* s, u32 slot, u8 family, struct address* a) {
    const struct node_port* port = port_of(s, slot);
    if (family == 6) {
        *a = port->address6;
        return (a->word[0] | a->word[1]) != 0;
    }
    *a = address_from_ipv4(port->address4);
    return port->address4.raw != 0;
}

// What the flow's rewrite does to the sums, towards the backend.
SHARED void flow_fill_sums(const struct pipeline_context* c, struct flow* flow, const struct address* nat) {
    u64 from =
        c->direction ? sum_of_address(&c->q.source_address) : sum_of_address(&c->q.destination_address);
    u64 to = sum_of_address(&c->backend_address);
    u64 ports_from = to_be16(flow->responder.port).raw;
    u64 ports_to = to_be16(flow->target_port).raw;
    if (c->mode == MODE_FULLNAT) {
        from += sum_of_address(&c->h.source);
        to += sum_of_address(nat);
        ports_from += to_be16(c->h.source_port).raw;
        ports_to += to_be16(flow->nat_port).raw;
    }
    flow->sum_l3 = sum_delta(from, to);
    flow->sum_l4 = sum_delta(from + ports_from, to + ports_to);
}

// Fields that do not depend on the backend. The packet is the initiator's, or a stateless service's reply
// (direction 1).
SHARED void flow_fill(struct pipeline* s, struct flow* flow) {
    struct pipeline_context* c = s->context;
    flow_word_store(&flow->initiator, c->direction ? c->q.destination : c->q.source);
    flow_word_store(&flow->responder, c->direction ? c->q.source : c->q.destination);
    flow->last_seen = c->now;
    flow->target = 0;
    flow->target_port = 0;
    flow->nat_port = 0;
    flow->sum_l3 = 0;
    flow->sum_l4 = 0;
    flow->service = (u16)c->service;
    flow->backend = (u16)c->backend;
    flow->rule = (u16)c->rule;
    flow->generation = (u16)s->tables.node->generation;
    flow->mode = c->mode | (c->service_flags & SERVICE_ENGINE ? MODE_ENGINE : 0);
    flow->state = flow_first_state(c);
    flow->flags = (c->h.family == 6 ? FLOW_WIDE : 0) | (c->rule_flags & RULE_SET_DSCP ? FLOW_SET_DSCP : 0) |
                  ((c->rule_flags & (RULE_METER | RULE_FIRST_ONLY)) == RULE_METER ? FLOW_METERED : 0) |
                  (c->service_flags & SERVICE_OBSERVED ? FLOW_OBSERVED : 0);
    flow->nat_slot = (u8)c->port;
    for (u32 i = 0; i < 2; i++) __builtin_memset(&flow->hop[i], 0, sizeof flow->hop[i]);
}

SHARED void flow_fill_addresses(struct pipeline* s, u32 index) {
    const struct pipeline_context* c = s->context;
    struct flow_addresses* full = flow_addresses_at(&s->tables, index);
    if (!full) return;
    full->initiator = c->direction ? c->q.destination_address : c->q.source_address;
    full->responder = c->direction ? c->q.source_address : c->q.destination_address;
    full->target = c->backend_address;
}

// Fields that do.
SHARED void flow_fill_target(struct pipeline* s, struct flow* flow, u32 index, const struct address* nat) {
    struct pipeline_context* c = s->context;
    flow->target_port = c->backend_port;
    flow->backend = (u16)c->backend;
    if (address_is_ipv4(&c->backend_address))
        flow->target = address_to_ipv4(&c->backend_address).raw;
    else
        flow->flags |= FLOW_WIDE;
    if (c->mode == MODE_NAT || c->mode == MODE_FULLNAT) flow_fill_sums(c, flow, nat);
    if (UNLIKELY(flow->flags & FLOW_WIDE)) flow_fill_addresses(s, index);
}

// Enters an alias from (alias_client, backend) to the packet's flow. NAT_CONFLICT when that pair is another
// live flow's already, or no slot is free.
SHARED u32 alias_insert(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    struct flow_query* q = &c->alias_q;
    struct flow_ref ref = {NULL, &c->alias_place};
    u32 conflict = drop(REASON_NAT_CONFLICT);
    q->source_address = c->alias_client;
    q->destination_address = c->backend_address;
    q->source = flow_endpoint_word(&c->alias_client, c->alias_port, c->h.protocol, c->h.family);
    q->destination = flow_endpoint_word(&c->backend_address, c->backend_port, c->h.protocol, c->h.family);
    q->hash = flow_hash(q->source, q->destination, s->tables.node->flow_seed);
    if (flow_find(&s->tables, q, &ref)) {
        struct flow_ref stands_for = {ref.flow, &c->other_place};
        c->other_place = c->alias_place;
        bool alias = (ref.flow->mode & MODE_MASK) == MODE_ALIAS;
        if (!alias) return conflict;
        if (ref.flow->target == c->place.index && flow_alias_version(ref.flow) == c->alias_version) return 0;
        if (flow_follow_alias(&s->tables, &stands_for) && !flow_expired(&s->tables, stands_for.flow, c->now))
            return conflict;
        flow_remove(&s->tables, &ref);
    }
    if (!flow_claim(&s->tables, q->hash, c->now, &ref)) return conflict;
    flow_word_store(&ref.flow->initiator, q->source);
    flow_word_store(&ref.flow->responder, q->destination);
    ref.flow->last_seen = c->now;
    ref.flow->target = c->place.index;
    ref.flow->target_port = (u16)c->alias_version;
    ref.flow->nat_port = (u16)(c->alias_version >> 16);
    ref.flow->mode = MODE_ALIAS;
    ref.flow->state = flow_first_state(c);
    if (c->h.family == 6) {
        struct flow_addresses* full = flow_addresses_at(&s->tables, ref.at->index);
        if (full) {
            full->initiator = q->source_address;
            full->responder = q->destination_address;
        }
    }
    return flow_publish_unique(&s->tables, q, &ref, &c->other_place) ? 0 : conflict;
}

STAGE_APART(alias_insert)

// Finds a backend (nat) or a source port (fullnat) whose reply direction is free, and enters it.
SHARED u32 flow_fill_aliased(struct pipeline* s, struct flow_ref* ref) {
    struct pipeline_context* c = s->context;
    struct address nat = {{0, 0}};
    bool full = c->mode == MODE_FULLNAT;
    u32 count = s->tables.node->nat_port_count;
    if (full && (!count || !nat_address(s, c->port, c->h.family, &nat)))
        return drop(REASON_NAT_PORTS_EXHAUSTED);
    for (u32 attempt = 0; attempt < NAT_ATTEMPTS; attempt++) {
        u16 client_port = c->h.source_port;
        if (full) {
            u32 spread = (u32)(c->q.hash >> 16) + attempt * 0x9e3779b1u;
            ref->flow->nat_port = (u16)(s->tables.node->nat_port_first + (u32)(((u64)spread * count) >> 32));
            client_port = ref->flow->nat_port;
        } else if (attempt) {
            u32 word = backend_choose(s, attempt);
            if (word) return word;
        }
        flow_fill_target(s, ref->flow, ref->at->index, &nat);
        c->alias_client = full ? nat : c->h.source;
        c->alias_port = client_port;
        c->alias_version = ref->at->version + 1;
        if (!alias_insert_apart(s)) {
            if (ref->flow) ref->flow->flags |= FLOW_ALIASED;
            return 0;
        }
        if (!ref->flow) break;
    }
    return drop(full ? REASON_NAT_PORTS_EXHAUSTED : REASON_NAT_CONFLICT);
}

SHARED u32 flow_fill_service(struct pipeline* s, struct flow_ref* ref) {
    struct pipeline_context* c = s->context;
    if (!c->service) {
        if (ref->flow->flags & FLOW_WIDE) flow_fill_addresses(s, ref->at->index);
        return 0;
    }
    if ((c->service_flags & SERVICE_ALIAS) && !(c->flags & CONTEXT_STATELESS))
        return flow_fill_aliased(s, ref);
    struct address none = {{0, 0}};
    flow_fill_target(s, ref->flow, ref->at->index, &none);
    return 0;
}

// A flow that lives for this packet only: this CPU's scratch slot.
SHARED u32 admit_stateless(struct pipeline* s) {
    struct flow_ref* ref = &s->ref;
    ref->at->index = flow_scratch_index(&s->tables);
    ref->flow = flow_at(&s->tables, ref->at->index);
    if (!ref->flow) return drop(REASON_FLOW_TABLE_FULL);
    ref->at->version = ref->flow->version;
    ref->at->direction = s->context->direction;
    flow_fill(s, ref->flow);
    return flow_fill_service(s, ref);
}

SHARED void flow_count_created(struct pipeline* s) {
    struct worker_counters* counters = worker_counters_of(&s->tables);
    if (counters) counters->flows_created++;
    if (!s->context->backend) return;
    struct backend_counters* backend = backend_counters_at(&s->tables, s->context->backend - 1);
    if (backend) backend->flows++;
}

SHARED u32 admit_new(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    struct flow_ref* ref = &s->ref;
    if (!flow_claim(&s->tables, c->q.hash, c->now, ref)) {
        flow_forget(ref);
        struct worker_counters* counters = worker_counters_of(&s->tables);
        if (counters) counters->flows_busy++;
        return drop(REASON_FLOW_TABLE_FULL);
    }
    flow_fill(s, ref->flow);
    u32 word = flow_fill_service(s, ref);
    if (!ref->flow) return drop(REASON_FLOW_REPLACED);
    if (word) {
        flow_withdraw(&s->tables, ref);
        return word;
    }
    struct flow_counters* counters = flow_counters_at(&s->tables, ref->at->index);
    if (counters) __builtin_memset(counters, 0, sizeof *counters);
    if (!flow_publish_unique(&s->tables, &c->q, ref, &c->other_place)) return drop(REASON_FLOW_REPLACED);
    flow_count_created(s);
    return 0;
}

// Enters that the packet's flow is denied: until that entry's time is up its packets drop in every tier,
// unasked. An entry that an older snapshot allowed goes. Without a free slot the next packet asks again.
SHARED void admit_denied(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    struct flow_ref* ref = &s->ref;
    if (ref->flow) flow_remove(&s->tables, ref);
    if (!flow_claim(&s->tables, c->q.hash, c->now, ref)) return flow_forget(ref);
    c->mode = MODE_DENIED;
    c->backend = 0;
    c->backend_address = c->h.destination;
    flow_fill(s, ref->flow);
    if (ref->flow->flags & FLOW_WIDE) flow_fill_addresses(s, ref->at->index);
    flow_publish_unique(&s->tables, &c->q, ref, &c->other_place);
}

// The snapshot still allows the flow: it carries that snapshot's rule, and its alias is put back if it was
// lost.
SHARED u32 admit_again(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    struct flow* flow = s->ref.flow;
    if (!flow) return drop(REASON_FLOW_REPLACED);
    flow->rule = (u16)c->rule;
    if (!(c->flags & CONTEXT_UNASKED)) flow->generation = (u16)s->tables.node->generation;
    u8 flags = flow->flags & (u8) ~(FLOW_SET_DSCP | FLOW_METERED | FLOW_OBSERVED);
    if (c->service_flags & SERVICE_OBSERVED) flags |= FLOW_OBSERVED;
    flow->mode = (flow->mode & MODE_MASK) | (c->service_flags & SERVICE_ENGINE ? MODE_ENGINE : 0);
    if (c->rule_flags & RULE_SET_DSCP) flags |= FLOW_SET_DSCP;
    if ((c->rule_flags & (RULE_METER | RULE_FIRST_ONLY)) == RULE_METER) flags |= FLOW_METERED;
    flow->flags = flags;
    if (!(flags & FLOW_ALIASED)) return 0;
    c->alias_client = c->h.source;
    c->alias_port = c->h.source_port;
    c->alias_version = s->ref.at->version;
    c->backend_address = address_from_ipv4_word(flow->target);
    if (flags & FLOW_WIDE) {
        const struct flow_addresses* full = flow_addresses_at(&s->tables, s->ref.at->index);
        if (full) c->backend_address = full->target;
    }
    c->backend_port = flow->target_port;
    if (c->mode == MODE_FULLNAT) {
        c->alias_port = flow->nat_port;
        if (!nat_address(s, flow->nat_slot, c->h.family, &c->alias_client)) return 0;
    }
    alias_insert_apart(s);
    return 0;
}

SHARED u32 stage_admit(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    const struct image_header* header = image_header_of(&s->tables);
    if (c->flags & CONTEXT_REVALIDATE) return admit_again(s);
    if (c->h.protocol == PROTOCOL_TCP && !c->direction && header && !(header->flags & IMAGE_TCP_PICKUP) &&
        (c->h.tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
        return drop(REASON_TCP_NOT_SYN);
    if (c->flags & CONTEXT_STATELESS) return admit_stateless(s);
    return admit_new(s);
}

STAGE_APART(stage_admit)

SHARED_END

#endif
