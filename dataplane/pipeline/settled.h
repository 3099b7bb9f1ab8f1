// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The short way, for packets about which nothing is left to decide.
//
// Nearly every packet is one more of a connection that is settled: known, allowed by the snapshot in force,
// its next hop fresh, its TCP state at rest. Every stage of pipeline_rest() would look at it and let it pass.
// Here their questions are asked at once, of an untagged packet without options or extension headers that
// carries TCP or UDP;
// all that the long way would do to it is done from the flow's one cache line (a reply to fullnat: by way of
// its alias's). Any other answer than yes, and the packet goes the long way, untouched. What leaves is the
// same: tests run all packets both ways (node_state.long_way).
//
// Three steps, between which the engine lets memory answer: read (the frame), find (the tag), forward (the
// flow).
#ifndef SLUICE_PIPELINE_SETTLED_H
#define SLUICE_PIPELINE_SETTLED_H

#include "dataplane/pipeline/settled_read.h"

SHARED_BEGIN

// What a flow at rest must be, of its flow_nature(): established TCP or UDP, whose states differ in one bit;
// a reply's flow has seen one before.
enum {
    SETTLED_STATE_ASKED = 0xff & ~(STATE_TCP_ESTABLISHED ^ STATE_UDP),
    SETTLED_WANTED = (STATE_TCP_ESTABLISHED & STATE_UDP) << NATURE_STATE,
    SETTLED_ASKED = SETTLED_STATE_ASKED << NATURE_STATE | (FLOW_WIDE | FLOW_METERED | FLOW_SET_DSCP)
                                                              << NATURE_FLAGS,
    SETTLED_REPLY_WANTED = SETTLED_WANTED | FLOW_REPLIED << NATURE_FLAGS,
    SETTLED_REPLY_ASKED = SETTLED_STATE_ASKED << NATURE_STATE | (FLOW_WIDE | FLOW_REPLIED | FLOW_OBSERVED)
                                                                    << NATURE_FLAGS
};
SHARED_ASSERT((STATE_TCP_ESTABLISHED & STATE_UDP) == 1 && (STATE_TCP_ESTABLISHED ^ STATE_UDP) == 2,
              "no third state passes for one of the two");

// A flow at rest: its verdict is the current snapshot's, no packet of it changes its state, asks for a token
// or for a mark.
SHARED bool settled_flow(const struct pipeline* s, const struct settled* k, const struct flow* flow,
                         u32 direction, u8 family, u32 now) {
    u32 nature = flow_nature(flow);
    u32 asked = direction ? SETTLED_REPLY_ASKED : SETTLED_ASKED;
    u32 wanted = direction ? SETTLED_REPLY_WANTED : SETTLED_WANTED;
    if ((nature & asked) != (wanted | (family == 6 ? FLOW_WIDE << NATURE_FLAGS : 0))) return false;
    if (flow->generation != (u16)s->tables.node->generation) return false;
    if (flow_expired(&s->tables, flow, now)) return false;
    if (!may_punt(s, PUNT_SERVICE)) return true;
    return !(nature & MODE_ENGINE) && !(port_of(s, k->port)->flags & PORT_ENGINE);
}

// Both MAC addresses in two words; HOP holds the next hop's in its low six bytes.
SHARED void settled_write_macs(u8* frame, u64 hop, const struct node_port* out) {
    u16 low;
    u32 high;
    __builtin_memcpy(&low, out->mac, 2);
    __builtin_memcpy(&high, out->mac + 2, 4);
    u64 first = (hop & 0xffffffffffffULL) | (u64)low << 48;
    __builtin_memcpy(frame, &first, 8);
    __builtin_memcpy(frame + 8, &high, 4);
}

SHARED void settled_write_ttl(struct ipv4_header* ip, u16 delta) {
    ip->ttl -= 1;
    ip->checksum = checksum_update(ip->checksum, sum_add(delta, TTL_DELTA));
}

// Both ports at once, SOURCE and DESTINATION being endpoint words, and the checksum by SUM.
SHARED void settled_write_ports(struct tcp_header* tcp, u8 protocol, u64 source, u64 destination, u16 sum) {
    u32 ports = to_be16((u16)(source >> 32)).raw | (u32)to_be16((u16)(destination >> 32)).raw << 16;
    __builtin_memcpy(&tcp->source, &ports, 4);
    if (protocol == PROTOCOL_TCP) {
        tcp->checksum = checksum_update(tcp->checksum, sum);
    } else {
        struct udp_header* udp = (struct udp_header*)tcp;
        udp->checksum = udp_checksum_update(udp->checksum, sum);
    }
}

// As translate() does it, the sums and the full addresses coming from the flow, with fullnat the source from
// the port whose address it is.
SHARED u32 settled_translate_ipv4(struct pipeline* s, u8* frame, const struct flow* flow, u32 direction,
                                  bool full) {
    struct ipv4_header* ip = (struct ipv4_header*)(frame + SETTLED_L3);
    u64 initiator = flow_word_load(&flow->initiator);
    u64 source = direction ? flow_word_load(&flow->responder) : initiator;
    if (full && !direction) source = port_of(s, flow->nat_slot)->address4.raw | (u64)flow->nat_port << 32;
    u64 target = (u64)flow->target | (u64)flow->target_port << 32;
    u64 destination = direction ? initiator : target;
    u64 addresses = (u32)source | destination << 32;
    settled_write_ttl(ip, in_direction(flow->sum_l3, direction));
    __builtin_memcpy(&ip->source, &addresses, 8);
    settled_write_ports((struct tcp_header*)(frame + SETTLED_L4), ip->protocol, source, destination,
                        in_direction(flow->sum_l4, direction));
    return 0;
}

SHARED u32 settled_translate_ipv6(struct pipeline* s, const struct flow* flow, u32 index, u32 direction,
                                  bool full_nat) {
    u8* frame = packet_at(&s->packet, 0, SETTLED_IPV6_BYTES);
    const struct flow_addresses* full = flow_addresses_at(&s->tables, index);
    if (!frame || !full) return drop(REASON_FLOW_REPLACED);
    struct ipv6_header* ip = (struct ipv6_header*)(frame + SETTLED_L3);
    u64 initiator = flow_word_load(&flow->initiator);
    u64 source = direction ? flow_word_load(&flow->responder) : initiator;
    u64 destination = direction ? initiator : (u64)flow->target_port << 32;
    const struct address* from = direction ? &full->responder : &full->initiator;
    if (full_nat && !direction) {
        source = (u64)flow->nat_port << 32;
        from = &port_of(s, flow->nat_slot)->address6;
    }
    ip->hop_limit -= 1;
    ipv6_address_store(&ip->source, from);
    ipv6_address_store(&ip->destination, direction ? &full->initiator : &full->target);
    settled_write_ports((struct tcp_header*)(frame + SETTLED_IPV6_L4), ip->next_header, source, destination,
                        in_direction(flow->sum_l4, direction));
    return 0;
}

SHARED u32 settled_encapsulate(struct pipeline* s, const struct settled* k, u64 hop,
                               const struct ipv4_header* ip) {
    struct pipeline_context* c = s->context;
    struct outer_header outer;
    outer.length = from_be16(ip->total_length);
    outer.protocol = PROTOCOL_IPIP;
    outer.tos = ip->tos;
    c->q.source_address = address_from_ipv4(ip->source);
    c->q.source = k->source;
    u32 word = outer_addresses(s, &outer);
    if (word) return word;
    if (!packet_resize(&s->packet, -IPV4_OVERHEAD)) return drop(REASON_HEADROOM);
    u8* frame = packet_at(&s->packet, 0, SETTLED_L3);
    if (!frame) return drop(REASON_HEADROOM);
    settled_write_macs(frame, hop, port_of(s, c->hop.port));
    ((struct ethernet_header*)frame)->type = to_be16(ETHER_IPV4);
    return write_outer_ipv4(s, SETTLED_L3, &outer);
}

// Whether this way of leaving is one that is known here, by HOP, for an IP packet of LENGTH bytes.
SHARED bool settled_exit(const struct pipeline* s, const struct flow* flow, u32 direction, u64 hop,
                         u32 length) {
    u8 mode = flow->mode & MODE_MASK;
    const struct node_port* out = port_of(s, (u32)(hop >> 48) & 0xff);
    if (out->vlan) return false;
    if (mode == MODE_NAT || mode == MODE_FULLNAT || mode == MODE_ROUTE) return length <= out->mtu;
    if (direction) return false;
    if (mode == MODE_DSR_IPIP) return !(flow->flags & FLOW_WIDE) && length + IPV4_OVERHEAD <= out->mtu;
    return mode == MODE_DSR_L2 && length <= out->mtu;
}

// The packet as it leaves.
SHARED u32 settled_rewrite(struct pipeline* s, const struct settled* k, struct flow* flow, u32 index,
                           u8* frame, u32 direction, u8 family, u64 hop) {
    u8 mode = flow->mode & MODE_MASK;
    bool ipv4 = family == 4;
    struct ipv4_header* ip = (struct ipv4_header*)(frame + SETTLED_L3);
    if (mode == MODE_DSR_IPIP) {
        s->ref.flow = flow;
        return settled_encapsulate(s, k, hop, ip);
    }
    settled_write_macs(frame, hop, port_of(s, s->context->hop.port));
    bool full = mode == MODE_FULLNAT;
    if (mode == MODE_NAT || full)
        return ipv4 ? settled_translate_ipv4(s, frame, flow, direction, full)
                    : settled_translate_ipv6(s, flow, index, direction, full);
    if (mode != MODE_ROUTE) return 0;
    if (ipv4)
        settled_write_ttl(ip, 0);
    else
        ((struct ipv6_header*)ip)->hop_limit -= 1;
    return 0;
}

// Whether FLOW is the packet's, of which the tag gave hope. Answers the direction, or -1.
SHARED int settled_match(const struct tables* t, const struct settled* k, const struct flow* flow,
                         u8 family) {
    u64 initiator = flow_word_load(&flow->initiator);
    u64 responder = flow_word_load(&flow->responder);
    bool direction = (initiator ^ k->source) | (responder ^ k->destination);
    if (direction && ((initiator ^ k->destination) | (responder ^ k->source))) return -1;
    if (family == 4) return direction;
    const struct flow_addresses* full = flow_addresses_at(t, k->index);
    if (!full) return -1;
    const struct address* source = direction ? &full->responder : &full->initiator;
    const struct address* destination = direction ? &full->initiator : &full->responder;
    if (!address_equal(source, &k->source_address)) return -1;
    return address_equal(destination, &k->destination_address) ? direction : -1;
}

// Length of the IP packet, which settled_read() has found whole.
SHARED u32 settled_length(const u8* frame, u8 family) {
    const struct ipv4_header* ip = (const struct ipv4_header*)(frame + SETTLED_L3);
    if (family == 4) return from_be16(ip->total_length);
    return (u32)sizeof(struct ipv6_header) + from_be16(((const struct ipv6_header*)ip)->payload_length);
}

// Forwards the packet, of FAMILY (4 or 6), if the flow found is its own and settled. 0: it is not, and
// nothing has changed.
SHARED u32 settled_forward(struct pipeline* s, const struct settled* k, u8 family, u32 now) {
    struct pipeline_context* c = s->context;
    u32 index = k->index;
    struct flow* flow = flow_at(&s->tables, index);
    u8* frame = packet_at(&s->packet, 0, SETTLED_BYTES);
    if (!flow || !frame) return 0;
    u32 length = packet_length(&s->packet);
    u32 version = LOAD_ACQUIRE(&flow->version);
    int match = settled_match(&s->tables, k, flow, family);
    u32 direction = match & 1;
    if (UNLIKELY(match < 0 || version & 1)) return 0;
    if ((flow->mode & MODE_MASK) == MODE_ALIAS) {
        u32 alias_version = version;
        const struct flow* alias = flow;
        index = alias->target;
        version = flow_alias_version(alias);
        direction = 1;
        if (LOAD_ACQUIRE(&alias->version) != alias_version) return 0;
        flow = flow_at(&s->tables, index);
        if (!flow || LOAD_ACQUIRE(&flow->version) != version) return 0;
    }
    if (!settled_flow(s, k, flow, direction, family, now)) return 0;
    u64 hop = hop_word(&flow->hop[direction]);
    if (hop >> 56 != stamp_of(&s->tables, now)) return 0;
    if (!settled_exit(s, flow, direction, hop, settled_length(frame, family))) return 0;
    c->port = k->port;
    c->hop.port = (u16)(hop >> 48 & 0xff);
    c->service = flow->service;
    c->backend = flow->backend;
    c->rule = flow->rule;
    u32 word = settled_rewrite(s, k, flow, index, frame, direction, family, hop);
    COMPILER_BARRIER();
    if (word) return word;
    if (UNLIKELY(LOAD_ACQUIRE(&flow->version) != version)) return drop(REASON_FLOW_REPLACED);
    track_backend(&s->tables, c->backend, direction, length);
    track_packet(&s->tables, flow, index, direction, length, now);
    return VERDICT_FORWARD;
}

// All three. 0: the long way, please.
SHARED u32 stage_settled(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    const struct node_state* node = s->tables.node;
    struct settled* k = &c->settled;
    if (UNLIKELY(node->long_way | node->trace_every | node->capture)) return 0;
    u32 word = settled_read(s, node_port_find(node, c->ifindex, 0), k);
    if (word == VERDICT_PASS) c->port = k->port;
    if (word != VERDICT_FORWARD) return word;
    if (!settled_find(&s->tables, k)) return 0;
    return settled_forward(s, k, settled_family(k), c->now);
}

SHARED_END

#endif
