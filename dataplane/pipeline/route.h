// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Stage route: time to live, next hop, MTU. The next hop is kept in the flow and asked for anew when its
// stamp is old (tables/node.h), that is as soon as the control side reports that the kernel's routes or
// neighbours changed, or after some seconds.
#ifndef SLUICE_PIPELINE_ROUTE_H
#define SLUICE_PIPELINE_ROUTE_H

#include "dataplane/pipeline/track.h"

SHARED_BEGIN

enum { IPV4_OVERHEAD = 20, IPV6_OVERHEAD = 40, UDP_OVERHEAD = 8, IPV6_LEAST_MTU = 1280 };

SHARED u64 hop_word(const struct flow_hop* hop) {
    u64 word;
    __builtin_memcpy(&word, hop, sizeof word);
    return word;
}

SHARED void hop_store(struct flow_hop* slot, const struct next_hop* hop, u8 stamp) {
    u64 word = 0;
    __builtin_memcpy(&word, hop->mac, 6);
    word |= (u64)(hop->port & 0xff) << 48 | (u64)stamp << 56;
    __builtin_memcpy(slot, &word, sizeof word);
}

// Where the packet is bound for once it is rewritten.
SHARED struct address route_target(struct pipeline* s) {
    const struct pipeline_context* c = s->context;
    const struct flow* flow = s->ref.flow;
    bool wide = flow->flags & FLOW_WIDE;
    if (c->mode == MODE_ROUTE || (c->direction && c->mode != MODE_FULLNAT)) return c->h.destination;
    if (wide) {
        const struct flow_addresses* full = flow_addresses_at(&s->tables, s->ref.at->index);
        if (full) return c->direction ? full->initiator : full->target;
    }
    if (!c->direction) return address_from_ipv4_word(flow->target);
    u32 initiator;
    __builtin_memcpy(&initiator, flow->initiator.address, 4);
    return address_from_ipv4_word(initiator);
}

SHARED const struct image_next_hop* next_hop_of_group(struct pipeline* s, u32 group) {
    const struct image_header* header = image_header_of(&s->tables);
    if (!header) return NULL;
    u32 next_hops = header->next_hops;
    const struct image_route_group* record = (const struct image_route_group*)image_record(
        &s->tables, header->route_groups, group, sizeof *record);
    if (!record) return NULL;
    u32 first = record->first;
    u32 count = record->count;
    u32 wanted = (u32)(((s->context->q.hash >> 32) * record->total_weight) >> 32);
    for (u32 i = 0; i < 16; i++) {
        const struct image_next_hop* hop =
            (const struct image_next_hop*)image_record(&s->tables, next_hops, first + i, sizeof *hop);
        if (!hop || wanted < hop->weight_end || i + 1 >= count) return hop;
    }
    return NULL;
}

// By the configured routes, else by the kernel's.
SHARED u32 route_resolve(struct pipeline* s) {
    struct next_hop* hop = &s->context->hop;
    if (!s->ref.flow) return drop(REASON_FLOW_REPLACED);
    struct address to = route_target(s);
    bool routed = false;
    const struct image_header* header = image_header_of(&s->tables);
    const struct image_lpm* routes = image_lpm_of(&s->tables, LPM_ROUTES);
    if (header && routes && (header->flags & IMAGE_STATIC_ROUTES)) {
        u32 group = image_lpm_find(&s->tables, routes, &to);
        const struct image_next_hop* configured = group == routes->none ? NULL : next_hop_of_group(s, group);
        routed = configured != NULL;
        if (configured && configured->has_mac) {
            __builtin_memcpy(hop->mac, configured->mac, 6);
            hop->port = configured->port;
            return 0;
        }
        if (configured && (configured->via.word[0] | configured->via.word[1])) to = configured->via;
        const struct image_neighbor* neighbor = image_neighbor_find(&s->tables, header, &to);
        if (neighbor) {
            __builtin_memcpy(hop->mac, neighbor->mac, 6);
            hop->port = configured ? configured->port : neighbor->port;
            return 0;
        }
    }
    u32 word = kernel_route(&s->tables, &s->packet, s->context, &to, hop);
    return routed && word == drop(REASON_NO_ROUTE) ? drop(REASON_NO_NEIGHBOR) : word;
}

STAGE_APART(route_resolve)

SHARED u32 encapsulation_overhead(const struct pipeline_context* c, const struct flow* flow) {
    if (c->mode != MODE_DSR_IPIP && c->mode != MODE_DSR_GUE) return 0;
    u32 outer = flow->target ? IPV4_OVERHEAD : IPV6_OVERHEAD;
    return outer + (c->mode == MODE_DSR_GUE ? UDP_OVERHEAD : 0);
}

SHARED bool mode_routes(u8 mode) { return mode == MODE_ROUTE || mode == MODE_NAT || mode == MODE_FULLNAT; }

// Whether a packet of SIZE bytes that does not fit may leave in fragments. Without DF it may, in a tunnel's
// outer header, so that the inner packet stays whole (RFC 2003, 3.1; RFC 4459, 3.2); IPv6 in a tunnel when
// its sender cannot be told to send less (RFC 2473, 7.1).
SHARED bool route_may_split(const struct pipeline_context* c, u32 size, u32 overhead) {
    if (!overhead) return !(c->h.flags & (HEADER_DONT_FRAGMENT | HEADER_IP_OPTIONS));
    if (c->h.family == 6) return size <= IPV6_LEAST_MTU;
    return !(c->h.flags & HEADER_DONT_FRAGMENT);
}

SHARED u32 route_check_size(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    u32 mtu = port_of(s, c->hop.port)->mtu;
    u32 overhead = encapsulation_overhead(c, s->ref.flow);
    u32 size = c->h.end - c->h.l3;
    if (LIKELY(size + overhead <= mtu)) return 0;
    c->limit = mtu - overhead;
    if (!route_may_split(c, size, overhead))
        return c->h.flags & HEADER_DONT_FRAGMENT ? reject(ANSWER_TOO_BIG) : drop(REASON_TOO_BIG);
    if (!packet_split_is_possible())
        return may_punt(s, PUNT_TOO_BIG) ? punt(PUNT_TOO_BIG) : drop(REASON_TOO_BIG);
    c->flags |= CONTEXT_SPLIT;
    return 0;
}

SHARED u32 stage_route(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    struct flow_hop* slot = &s->ref.flow->hop[c->direction & 1];
    u8 stamp = stamp_of(&s->tables, c->now);
    if (UNLIKELY(c->h.ttl <= 1 && mode_routes(c->mode))) return reject(ANSWER_TTL_EXCEEDED);
    u64 word = hop_word(slot);
    if (LIKELY(word >> 56 == stamp)) {
        __builtin_memcpy(c->hop.mac, &word, 6);
        c->hop.port = (u16)(word >> 48 & 0xff);
    } else {
        u32 answer = route_resolve_apart(s);
        if (answer) return answer;
        if (!s->ref.flow) return drop(REASON_FLOW_REPLACED);
        hop_store(&s->ref.flow->hop[c->direction & 1], &c->hop, stamp);
    }
    return route_check_size(s);
}

SHARED_END

#endif
