// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The first two steps of the short way (settled.h): what the frame says, and which slot its flow may lie in.
#ifndef SLUICE_PIPELINE_SETTLED_READ_H
#define SLUICE_PIPELINE_SETTLED_READ_H

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
    return sum_is_whole((u64)word[0].raw + word[1].raw + word[2].raw + word[3].raw + word[4].raw);
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

SHARED u8 settled_family(const struct settled* k) { return (u8)(k->source >> 56); }

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
    u32 found = first_equal_byte(*(const volatile u64*)first_tags, *(const volatile u64*)second_tags,
                                 flow_tag(k->hash));
    u32 bucket = found < FLOW_BUCKET_SLOTS ? first : second;
    k->index = bucket * FLOW_BUCKET_SLOTS + found % FLOW_BUCKET_SLOTS;
    return found < 2 * FLOW_BUCKET_SLOTS;
}

SHARED_END

#endif
