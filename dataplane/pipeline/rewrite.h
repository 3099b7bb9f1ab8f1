// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Stages rewrite and echo: the packet as it leaves.
#ifndef SLUICE_PIPELINE_REWRITE_H
#define SLUICE_PIPELINE_REWRITE_H

#include "dataplane/pipeline/encapsulate.h"

SHARED_BEGIN

// The TOS byte or traffic class with a DSCP (RFC 2474); the two ECN bits stay.
SHARED u8 tos_marked(const struct pipeline_context* c, u8 dscp) {
    return (u8)((u8)(dscp << 2) | (c->h.tos & 3));
}

SHARED void rewrite_dscp(struct pipeline* s, u8 dscp) {
    struct pipeline_context* c = s->context;
    u8 tos = tos_marked(c, dscp);
    if (c->h.family == 4) {
        struct ipv4_header* ip = (struct ipv4_header*)packet_at(&s->packet, c->h.l3, sizeof *ip);
        if (!ip) return;
        ip->checksum = checksum_update(ip->checksum, sum_delta((u64)ip->tos << 8, (u64)tos << 8));
        ip->tos = tos;
    } else {
        struct ipv6_header* ip = (struct ipv6_header*)packet_at(&s->packet, c->h.l3, sizeof *ip);
        if (!ip) return;
        u32 first = from_be32(ip->version_class_label) & 0xf00fffffu;
        ip->version_class_label = to_be32(first | (u32)tos << 20);
    }
    c->h.tos = tos;
}

SHARED void rewrite_ttl(struct pipeline* s) {
    const struct pipeline_context* c = s->context;
    if (c->h.family == 4) {
        struct ipv4_header* ip = (struct ipv4_header*)packet_at(&s->packet, c->h.l3, sizeof *ip);
        if (!ip) return;
        ip->ttl -= 1;
        ip->checksum = checksum_update(ip->checksum, TTL_DELTA);
    } else {
        struct ipv6_header* ip = (struct ipv6_header*)packet_at(&s->packet, c->h.l3, sizeof *ip);
        if (ip) ip->hop_limit -= 1;
    }
}

SHARED void write_macs(struct ethernet_header* ethernet, const u8* destination, const u8* source) {
    __builtin_memcpy(ethernet->destination, destination, 6);
    __builtin_memcpy(ethernet->source, source, 6);
}

struct link_plan {
    u32 length;  // Ethernet header with tags, as it will be
    u32 tags;
    u16 type;  // host order, of what follows the tags
    u16 vlan;  // outer tag
};

// The whole link header, with the tags of the egress port: those of the packet when it leaves by the port it
// came by.
SHARED u32 write_link(struct pipeline* s, const struct link_plan* plan) {
    const struct pipeline_context* c = s->context;
    const struct node_port* out = port_of(s, c->hop.port);
    struct ethernet_header* ethernet = (struct ethernet_header*)packet_at(&s->packet, 0, sizeof *ethernet);
    if (!ethernet) return drop(REASON_HEADROOM);
    write_macs(ethernet, c->hop.mac, out->mac);
    if (LIKELY(!plan->tags)) {
        ethernet->type = to_be16(plan->type);
        return 0;
    }
    struct vlan_tag* tag = (struct vlan_tag*)packet_at(&s->packet, sizeof *ethernet, 4);
    if (!tag) return drop(REASON_HEADROOM);
    bool same = c->hop.port == c->port;
    if (same)
        ethernet->type.raw = c->h.vlan_type;
    else
        ethernet->type = to_be16(ETHER_VLAN);
    tag->control = to_be16(plan->vlan);
    tag->type = to_be16(plan->tags == 2 ? (u16)ETHER_VLAN : plan->type);
    if (plan->tags < 2) return 0;
    tag = (struct vlan_tag*)packet_at(&s->packet, sizeof *ethernet + 4, 4);
    if (!tag) return drop(REASON_HEADROOM);
    tag->control = to_be16(c->h.vlan_inner);
    tag->type = to_be16(plan->type);
    return 0;
}

SHARED void plan_link(const struct pipeline* s, u8 family, struct link_plan* plan) {
    const struct pipeline_context* c = s->context;
    const struct node_port* out = port_of(s, c->hop.port);
    bool same = c->hop.port == c->port;
    plan->tags = same ? c->h.tags : out->vlan != 0;
    plan->vlan = same ? c->h.vlan : out->vlan;
    plan->type = family == 4 ? ETHER_IPV4 : ETHER_IPV6;
    plan->length = (u32)sizeof(struct ethernet_header) + 4 * plan->tags;
}

// Without an outer header. Mostly only the two MACs change.
SHARED u32 rewrite_link(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    struct link_plan plan;
    plan_link(s, c->h.family, &plan);
    if (LIKELY(plan.length == c->h.l3 && (c->hop.port == c->port || !plan.tags))) {
        struct ethernet_header* ethernet =
            (struct ethernet_header*)packet_at(&s->packet, 0, sizeof *ethernet);
        if (!ethernet) return drop(REASON_TRUNCATED);
        write_macs(ethernet, c->hop.mac, port_of(s, c->hop.port)->mac);
        return 0;
    }
    if (!packet_resize(&s->packet, (int)c->h.l3 - (int)plan.length)) return drop(REASON_HEADROOM);
    return write_link(s, &plan);
}

SHARED u32 rewrite_encapsulate(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    if (!s->ref.flow) return drop(REASON_FLOW_REPLACED);
    bool gue = c->mode == MODE_DSR_GUE;
    bool ipv4 = s->ref.flow->target != 0;
    struct outer_header outer;
    struct link_plan plan;
    u32 word = outer_addresses(s, &outer);
    if (word) return word;
    const struct image_service* service = service_record(s, c->service);
    if (!service) return drop(REASON_NO_BACKEND);
    u16 port = service->tunnel_port;
    u16 source_port = (u16)(flow_mix(c->q.source ^ (c->q.destination << 1)) >> 40) | GUE_SOURCE_PORTS;
    u32 udp_length = c->h.end - c->h.l3 + UDP_OVERHEAD;
    u16 checksum = 0;
    if (gue) {
        if (!packet_sum_is_possible() && !inner_sum_is_known(s)) return punt(PUNT_CHECKSUM);
        checksum = gue_checksum(s, &outer, source_port, port, udp_length);
    }
    outer.tos = c->h.tos;
    outer.protocol = gue ? PROTOCOL_UDP : c->h.family == 4 ? PROTOCOL_IPIP : PROTOCOL_IPV6;
    outer.length = gue ? udp_length : udp_length - UDP_OVERHEAD;
    plan_link(s, ipv4 ? 4 : 6, &plan);
    u32 outer_length = plan.length + encapsulation_overhead(c, s->ref.flow);
    if (!packet_resize(&s->packet, (int)c->h.l3 - (int)outer_length)) return drop(REASON_HEADROOM);
    word = write_link(s, &plan);
    if (!word)
        word = ipv4 ? write_outer_ipv4(s, plan.length, &outer) : write_outer_ipv6(s, plan.length, &outer);
    if (word || !gue) return word;
    struct udp_header* udp =
        (struct udp_header*)packet_at(&s->packet, outer_length - UDP_OVERHEAD, sizeof *udp);
    if (!udp) return drop(REASON_HEADROOM);
    udp->source = to_be16(source_port);
    udp->destination = to_be16(port);
    udp->length = to_be16((u16)udp_length);
    udp->checksum = checksum;
    return 0;
}

STAGE_APART(rewrite_encapsulate)

SHARED u8 flow_dscp(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    if (!(c->flags & CONTEXT_KNOWN)) return c->dscp;
    const struct image_rule* rule = rule_record(s, c->rule);
    return rule && (rule->flags & RULE_SET_DSCP) ? rule->dscp : c->h.tos >> 2;
}

SHARED u32 stage_rewrite(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    bool nat = c->mode == MODE_NAT || c->mode == MODE_FULLNAT;
    if (UNLIKELY(nat && c->h.protocol == PROTOCOL_SCTP && !packet_sum_is_possible()))
        return punt(PUNT_CHECKSUM);
    bool marked = (s->ref.flow->flags & FLOW_SET_DSCP) && !c->direction;
    if (c->mode == MODE_DSR_IPIP || c->mode == MODE_DSR_GUE) {
        if (UNLIKELY(marked)) c->h.tos = tos_marked(c, flow_dscp(s));  // outside only: the inner packet stays
        return rewrite_encapsulate_apart(s);
    }
    if (UNLIKELY(marked)) rewrite_dscp(s, flow_dscp(s));
    if (nat) {
        u32 word = translate(s);
        if (word) return word;
        if (!s->ref.flow) return drop(REASON_FLOW_REPLACED);
    }
    if (mode_routes(c->mode)) rewrite_ttl(s);
    return rewrite_link(s);
}

// Answers an echo request to a VIP in place: back to where it came from, by the port it came by.
SHARED u32 stage_echo(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    if (LIKELY(!(c->flags & CONTEXT_ECHO))) return 0;
    struct ethernet_header* ethernet = (struct ethernet_header*)packet_at(&s->packet, 0, sizeof *ethernet);
    struct icmp_header* icmp = (struct icmp_header*)packet_at(&s->packet, c->h.l4, sizeof *icmp);
    if (!ethernet || !icmp) return drop(REASON_TRUNCATED);
    u8 own[6];
    __builtin_memcpy(own, ethernet->destination, 6);
    write_macs(ethernet, ethernet->source, own);
    u8 reply = c->h.family == 4 ? ICMP_ECHO_REPLY : ICMPV6_ECHO_REPLY;
    icmp->checksum = checksum_update(icmp->checksum, sum_delta(icmp->type, reply));
    if (!icmp->checksum) icmp->checksum = 0xffff;  // of a message all zero the sum is 0, not its other form
    icmp->type = reply;
    u16 ttl_delta = 0;
    if (c->h.family == 4) {
        struct ipv4_header* ip = (struct ipv4_header*)packet_at(&s->packet, c->h.l3, sizeof *ip);
        if (!ip) return drop(REASON_TRUNCATED);
        ttl_delta = sum_delta(ip->ttl, OUTER_TTL);
        ip->ttl = OUTER_TTL;
    } else {
        struct ipv6_header* ip = (struct ipv6_header*)packet_at(&s->packet, c->h.l3, sizeof *ip);
        if (!ip) return drop(REASON_TRUNCATED);
        ip->hop_limit = OUTER_TTL;
    }
    c->hop.port = (u16)c->port;
    u32 word = write_addresses(s, c->h.l3, &c->h.destination, &c->h.source, ttl_delta);
    return word ? word : (u32)VERDICT_FORWARD;
}

STAGE_APART(stage_echo)

SHARED_END

#endif
