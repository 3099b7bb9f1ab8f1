// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The short way, for packets about which nothing is left to decide.
//
// Nearly every packet is one more of a connection that is settled: known, allowed by the snapshot in force,
// its next hop fresh, its TCP state at rest. Every stage of pipeline_rest() would look at it and let it pass.
// Here their questions are asked at once, of an untagged packet without options or extension headers that
// carries TCP or UDP;
// all that the long way would do to it is done from the flow's one cache line. Any other answer than yes, and
// the packet goes the long way, untouched. What leaves is the same: tests run all packets both ways
// (node_state.long_way).
//
// Three steps, between which the engine lets memory answer: read (the frame), find (the tag), forward (the
// flow).
#ifndef SLUICE_PIPELINE_SETTLED_H
#define SLUICE_PIPELINE_SETTLED_H

#include "dataplane/pipeline/rewrite.h"

SHARED_BEGIN

enum {
    SETTLED_L3 = sizeof(struct ethernet_header),
    SETTLED_L4 = SETTLED_L3 + sizeof(struct ipv4_header),
    SETTLED_BYTES = SETTLED_L4 + sizeof(struct tcp_header),  // looked at; a shorter frame goes the long way
    SETTLED_IPV6_L4 = SETTLED_L3 + sizeof(struct ipv6_header),
    SETTLED_IPV6_BYTES = SETTLED_IPV6_L4 + sizeof(struct tcp_header)
};

// Header without options, whole in ROOM bytes, checksum right, not a fragment, time left to live.
SHARED bool settled_ipv4(const struct ipv4_header* ip, u32 room) {
    u32 total = from_be16(ip->total_length);
    const struct be32* word = (const struct be32*)ip;
    if (ip->version_length != 0x45 || ip->ttl <= 1) return false;
    if (total < sizeof *ip || total > room) return false;
    if (from_be16(ip->fragment) & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) return false;
    return sum_fold((u64)word[0].raw + word[1].raw + word[2].raw + word[3].raw + word[4].raw) == 0xffff;
}

SHARED bool settled_ipv6(const struct ipv6_header* ip, u32 room) {
    return from_be32(ip->version_class_label) >> 28 == 6 && ip->hop_limit > 1 &&
           sizeof *ip + from_be16(ip->payload_length) <= room;
}

// TCP that changes no state, or UDP; whole in the LENGTH bytes behind the IP header.
SHARED bool settled_transport(const struct tcp_header* tcp, u8 protocol, u32 length) {
    if (protocol == PROTOCOL_TCP) {
        u32 header = (tcp->data_offset >> 4) * 4u;
        return header >= sizeof *tcp && header <= length && !(tcp->flags & (TCP_SYN | TCP_FIN | TCP_RST));
    }
    if (protocol != PROTOCOL_UDP) return false;
    u32 datagram = from_be16(((const struct udp_header*)tcp)->length);
    return datagram >= sizeof(struct udp_header) && datagram <= length;
}

// As stage receive has it.
SHARED bool settled_receive(const struct node_port* port, const struct ethernet_header* ethernet) {
    if (LIKELY(mac_equal(ethernet->destination, port->mac))) return true;
    return (port->flags & (PORT_PROMISCUOUS | PORT_ANY_MAC)) && !(ethernet->destination[0] & 1);
}

// The source of a packet from a backend as the flow's key has it: the VIP that it stands for, if it stands
// for one. Leaves the address in the context's query.
SHARED u64 settled_reply_source(struct pipeline* s, const struct address* from, u16 port, u8 protocol,
                                u8 family) {
    struct pipeline_context* c = s->context;
    u32 flags = c->flags;
    address_copy(&c->q.source_address, from);
    c->h.source_port = port;
    c->h.protocol = protocol;
    c->h.flags = 0;
    c->flags = 0;
    query_translate_apart(s);
    bool translated = c->flags & CONTEXT_TRANSLATED;
    c->flags = flags;
    if (!translated) return flow_endpoint_word(from, port, protocol, family);
    return flow_endpoint_word(&c->q.source_address, c->vip_port, protocol, family);
}

SHARED u32 settled_key(struct pipeline* s, const struct address* source, const struct address* destination,
                       const struct tcp_header* tcp, u8 protocol, u8 family, struct settled* k) {
    const struct node_state* node = s->tables.node;
    u16 source_port = from_be16(tcp->source);
    if (UNLIKELY(interest_has(&node->source, source))) {
        k->source = settled_reply_source(s, source, source_port, protocol, family);
        if (family == 6) address_copy(&k->source_address, &s->context->q.source_address);
    } else if (interest_has(&node->destination, destination)) {
        k->source = flow_endpoint_word(source, source_port, protocol, family);
        if (family == 6) address_copy(&k->source_address, source);
    } else {
        return VERDICT_PASS;
    }
    k->destination = flow_endpoint_word(destination, from_be16(tcp->destination), protocol, family);
    if (family == 6) address_copy(&k->destination_address, destination);
    k->hash = flow_hash(k->source, k->destination, node->flow_seed);
    return VERDICT_FORWARD;
}

SHARED u32 settled_read_ipv4(struct pipeline* s, const u8* frame, struct settled* k) {
    const struct ipv4_header* ip = (const struct ipv4_header*)(frame + SETTLED_L3);
    const struct tcp_header* tcp = (const struct tcp_header*)(frame + SETTLED_L4);
    u8 protocol = ip->protocol;
    if (!settled_ipv4(ip, packet_length(&s->packet) - SETTLED_L3)) return 0;
    if (!settled_transport(tcp, protocol, from_be16(ip->total_length) - (u32)sizeof *ip)) return 0;
    struct address source = address_from_ipv4(ip->source);
    struct address destination = address_from_ipv4(ip->destination);
    return settled_key(s, &source, &destination, tcp, protocol, 4, k);
}

SHARED u32 settled_read_ipv6(struct pipeline* s, struct settled* k) {
    const u8* frame = packet_at(&s->packet, 0, SETTLED_IPV6_BYTES);
    if (!frame) return 0;
    const struct ipv6_header* ip = (const struct ipv6_header*)(frame + SETTLED_L3);
    const struct tcp_header* tcp = (const struct tcp_header*)(frame + SETTLED_IPV6_L4);
    u8 protocol = ip->next_header;
    if (!settled_ipv6(ip, packet_length(&s->packet) - SETTLED_L3)) return 0;
    if (!settled_transport(tcp, protocol, from_be16(ip->payload_length))) return 0;
    struct address source = address_from_ipv6(&ip->source);
    struct address destination = address_from_ipv6(&ip->destination);
    return settled_key(s, &source, &destination, tcp, protocol, 6, k);
}

// What to do with a packet received on the untagged interface PORT: PASS when no address of it concerns us,
// FORWARD when its flow may be all there is to know (then K has what that flow is looked up by), 0 for the
// long way.
SHARED u32 settled_read(struct pipeline* s, u32 port, struct settled* k) {
    const u8* frame = packet_at(&s->packet, 0, SETTLED_BYTES);
    if (!frame || !port) return 0;
    const struct ethernet_header* ethernet = (const struct ethernet_header*)frame;
    if (!settled_receive(port_of(s, port), ethernet)) return 0;
    k->port = port;
    if (ethernet->type.raw == to_be16(ETHER_IPV4).raw) return settled_read_ipv4(s, frame, k);
    if (ethernet->type.raw == to_be16(ETHER_IPV6).raw) return settled_read_ipv6(s, k);
    return 0;
}

// The slot whose tag is the flow's. Of several only the first: the long way looks at them all. Which of the
// two buckets it is cannot be predicted, so both are looked at.
SHARED bool settled_find(const struct tables* t, struct settled* k) {
    u32 mask = t->node->flow_bucket_mask;
    u32 first = flow_bucket_first(k->hash, mask);
    u32 second = flow_bucket_second(k->hash, mask);
    const u64* first_tags = flow_tags_at(t, first);
    const u64* second_tags = flow_tags_at(t, second);
    if (!first_tags || !second_tags) return false;
    u64 match = flow_tag_match(*(const volatile u64*)first_tags, flow_tag(k->hash));
    u64 other = flow_tag_match(*(const volatile u64*)second_tags, flow_tag(k->hash));
    u32 bucket = match ? first : second;
    match = match ? match : other;
    k->index = bucket * FLOW_BUCKET_SLOTS + flow_match_slot(match);
    return match != 0;
}

// A flow at rest: its verdict is the current snapshot's, no packet of it changes its state, asks for a token
// or for a mark.
SHARED bool settled_flow(const struct pipeline* s, const struct settled* k, const struct flow* flow,
                         u32 direction, u32 now) {
    u8 state = flow->state;
    u8 flags = flow->flags;
    if (state != STATE_TCP_ESTABLISHED && state != STATE_UDP) return false;
    if (flow->generation != (u16)s->tables.node->generation) return false;
    if (flow_expired(&s->tables, flow, now)) return false;
    if (!direction && flags & (FLOW_METERED | FLOW_SET_DSCP)) return false;
    if (!(flags & FLOW_WIDE) != (k->source >> 56 == 4)) return false;
    if (direction && (flags & (FLOW_REPLIED | FLOW_OBSERVED)) != FLOW_REPLIED) return false;
    bool engine = (flow->mode & MODE_ENGINE) || (port_of(s, k->port)->flags & PORT_ENGINE);
    return !(engine && may_punt(s, PUNT_SERVICE));
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

SHARED void settled_write_ttl(struct ipv4_header* ip, u32 delta) {
    ip->ttl -= 1;
    ip->checksum = checksum_update(ip->checksum, delta + TTL_DELTA);
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

// As translate() does it, the sums and the full addresses coming from the flow.
SHARED u32 settled_translate_ipv4(u8* frame, const struct flow* flow, u32 direction) {
    struct ipv4_header* ip = (struct ipv4_header*)(frame + SETTLED_L3);
    u64 initiator = flow_word_load(&flow->initiator);
    u64 source = direction ? flow_word_load(&flow->responder) : initiator;
    u64 target = (u64)flow->target | (u64)flow->target_port << 32;
    u64 destination = direction ? initiator : target;
    u64 addresses = (u32)source | destination << 32;
    settled_write_ttl(ip, in_direction(flow->sum_l3, direction));
    __builtin_memcpy(&ip->source, &addresses, 8);
    settled_write_ports((struct tcp_header*)(frame + SETTLED_L4), ip->protocol, source, destination,
                        in_direction(flow->sum_l4, direction));
    return 0;
}

SHARED u32 settled_translate_ipv6(struct pipeline* s, const struct flow* flow, u32 index, u32 direction) {
    u8* frame = packet_at(&s->packet, 0, SETTLED_IPV6_BYTES);
    const struct flow_addresses* full = flow_addresses_at(&s->tables, index);
    if (!frame || !full) return drop(REASON_FLOW_REPLACED);
    struct ipv6_header* ip = (struct ipv6_header*)(frame + SETTLED_L3);
    u64 initiator = flow_word_load(&flow->initiator);
    u64 source = direction ? flow_word_load(&flow->responder) : initiator;
    u64 destination = direction ? initiator : (u64)flow->target_port << 32;
    ip->hop_limit -= 1;
    ipv6_address_store(&ip->source, direction ? &full->responder : &full->initiator);
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
    if (mode == MODE_NAT || mode == MODE_ROUTE) return length <= out->mtu;
    if (direction) return false;
    if (mode == MODE_DSR_IPIP) return !(flow->flags & FLOW_WIDE) && length + IPV4_OVERHEAD <= out->mtu;
    return mode == MODE_DSR_L2 && length <= out->mtu;
}

// The packet as it leaves.
SHARED u32 settled_rewrite(struct pipeline* s, const struct settled* k, struct flow* flow, u8* frame,
                           u32 direction, u64 hop) {
    u8 mode = flow->mode & MODE_MASK;
    bool ipv4 = k->source >> 56 == 4;
    struct ipv4_header* ip = (struct ipv4_header*)(frame + SETTLED_L3);
    if (mode == MODE_DSR_IPIP) {
        s->ref.flow = flow;
        return settled_encapsulate(s, k, hop, ip);
    }
    settled_write_macs(frame, hop, port_of(s, s->context->hop.port));
    if (mode == MODE_NAT)
        return LIKELY(ipv4) ? settled_translate_ipv4(frame, flow, direction)
                            : settled_translate_ipv6(s, flow, k->index, direction);
    if (mode != MODE_ROUTE) return 0;
    if (ipv4)
        settled_write_ttl(ip, 0);
    else
        ((struct ipv6_header*)ip)->hop_limit -= 1;
    return 0;
}

// Whether FLOW is the packet's, of which the tag gave hope. Answers the direction, or -1.
SHARED int settled_match(const struct tables* t, const struct settled* k, const struct flow* flow) {
    u64 initiator = flow_word_load(&flow->initiator);
    u64 responder = flow_word_load(&flow->responder);
    u32 direction = initiator != k->source;
    if ((direction ? responder : initiator) != k->source) return -1;
    if ((direction ? initiator : responder) != k->destination) return -1;
    if (LIKELY(k->source >> 56 == 4)) return (int)direction;
    const struct flow_addresses* full = flow_addresses_at(t, k->index);
    if (!full) return -1;
    const struct address* source = direction ? &full->responder : &full->initiator;
    const struct address* destination = direction ? &full->initiator : &full->responder;
    if (!address_equal(source, &k->source_address)) return -1;
    return address_equal(destination, &k->destination_address) ? (int)direction : -1;
}

// Length of the IP packet, which settled_read() has found whole.
SHARED u32 settled_length(const struct settled* k, const u8* frame) {
    const struct ipv4_header* ip = (const struct ipv4_header*)(frame + SETTLED_L3);
    if (LIKELY(k->source >> 56 == 4)) return from_be16(ip->total_length);
    return (u32)sizeof(struct ipv6_header) + from_be16(((const struct ipv6_header*)ip)->payload_length);
}

// Forwards the packet if the flow found is its own and settled. 0: it is not, and nothing has changed.
SHARED u32 settled_forward(struct pipeline* s, const struct settled* k, u32 now) {
    struct pipeline_context* c = s->context;
    struct flow* flow = flow_at(&s->tables, k->index);
    u8* frame = packet_at(&s->packet, 0, SETTLED_BYTES);
    if (!flow || !frame) return 0;
    u32 length = packet_length(&s->packet);
    u32 version = LOAD_ACQUIRE(&flow->version);
    int match = settled_match(&s->tables, k, flow);
    u32 direction = match & 1;
    if (UNLIKELY(match < 0 || version & 1)) return 0;
    if (!settled_flow(s, k, flow, direction, now)) return 0;
    u64 hop = hop_word(&flow->hop[direction]);
    if (hop >> 56 != stamp_of(&s->tables, now)) return 0;
    if (!settled_exit(s, flow, direction, hop, settled_length(k, frame))) return 0;
    c->port = k->port;
    c->hop.port = (u16)(hop >> 48 & 0xff);
    c->service = flow->service;
    c->backend = flow->backend;
    c->rule = flow->rule;
    u32 word = settled_rewrite(s, k, flow, frame, direction, hop);
    COMPILER_BARRIER();
    if (word) return word;
    if (UNLIKELY(LOAD_ACQUIRE(&flow->version) != version)) return drop(REASON_FLOW_REPLACED);
    track_backend(&s->tables, c->backend, direction, length);
    track_packet(&s->tables, flow, k->index, direction, length, now);
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
    return settled_forward(s, k, c->now);
}

SHARED_END

#endif
