// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The outer headers of dsr_ipip (RFC 2003, RFC 2473) and dsr_gue (GUE variant 1: IP directly in UDP). The
// inner packet is not touched. Outer: TTL 64, DF clear, TOS byte copied whole, IPv4 identification 0, flow
// label 0.
#ifndef SLUICE_PIPELINE_ENCAPSULATE_H
#define SLUICE_PIPELINE_ENCAPSULATE_H

#include "dataplane/pipeline/translate.h"

SHARED_BEGIN

enum { OUTER_TTL = 64, GUE_SOURCE_PORTS = 0xc000 };

struct outer_header {
    struct address source;
    struct address destination;
    u32 length;  // payload of the outer IP header
    u8 protocol;
    u8 tos;
};

// A configured source prefix spreads clients over its addresses: the suffix is the client's address and port
// folded, so that a backend's receive-side scaling by outer addresses still spreads flows.
SHARED struct address tunnel_source(const struct pipeline_context* c, const struct address* prefix,
                                    u32 length) {
    struct address a = *prefix;
    u64 host_bits = length <= 64 ? ~0ULL : ~address_mask_word(length - 64);
    u64 client = c->q.source_address.word[1] >> 32;
    u64 port = (c->q.source >> 32) & 0xffff;
    u64 suffix = (client ^ (port << 16)) << 32;
    a.word[1] |= suffix & host_bits;
    return a;
}

SHARED u32 outer_addresses(struct pipeline* s, struct outer_header* outer) {
    const struct pipeline_context* c = s->context;
    const struct flow* flow = s->ref.flow;
    const struct image_service* service = service_record(s, c->service);
    if (!service) return drop(REASON_NO_BACKEND);
    const struct node_port* port = port_of(s, c->hop.port);
    if (flow->target) {
        outer->destination = address_from_ipv4_word(flow->target);
        outer->source = service->source4_length ? tunnel_source(c, &service->source4, service->source4_length)
                                                : address_from_ipv4(port->address4);
        return 0;
    }
    const struct flow_addresses* wide = flow_addresses_at(&s->tables, s->ref.at->index);
    if (!wide) return drop(REASON_NO_BACKEND);
    outer->destination = wide->target;
    outer->source = service->source6_length ? tunnel_source(c, &service->source6, service->source6_length)
                                            : port->address6;
    return 0;
}

SHARED u32 write_outer_ipv4(struct pipeline* s, u32 offset, const struct outer_header* outer) {
    struct ipv4_header* ip = (struct ipv4_header*)packet_at(&s->packet, offset, sizeof *ip);
    if (!ip) return drop(REASON_HEADROOM);
    u32 total = outer->length + (u32)sizeof *ip;
    ip->version_length = 0x45;
    ip->tos = outer->tos;
    ip->total_length = to_be16((u16)total);
    ip->id = to_be16(0);
    ip->fragment = to_be16(0);
    ip->ttl = OUTER_TTL;
    ip->protocol = outer->protocol;
    ip->source = address_to_ipv4(&outer->source);
    ip->destination = address_to_ipv4(&outer->destination);
    u64 sum = (u64)0x45 + ((u64)outer->tos << 8) + to_be16((u16)total).raw + OUTER_TTL +
              ((u64)outer->protocol << 8) + ip->source.raw + ip->destination.raw;
    ip->checksum = (u16)~sum_fold(sum);
    return 0;
}

SHARED u32 write_outer_ipv6(struct pipeline* s, u32 offset, const struct outer_header* outer) {
    struct ipv6_header* ip = (struct ipv6_header*)packet_at(&s->packet, offset, sizeof *ip);
    if (!ip) return drop(REASON_HEADROOM);
    ip->version_class_label = to_be32(6u << 28 | (u32)outer->tos << 20);
    ip->payload_length = to_be16((u16)outer->length);
    ip->next_header = outer->protocol;
    ip->hop_limit = OUTER_TTL;
    ipv6_address_store(&ip->source, &outer->source);
    ipv6_address_store(&ip->destination, &outer->destination);
    return 0;
}

// Whether the sum over the inner packet follows from its own, right checksums (Linux:
// Documentation/networking/ checksum-offloads.rst, local checksum offload). A wrong inner checksum then makes
// the outer one wrong, too.
SHARED bool inner_sum_is_known(const struct pipeline* s) {
    const struct headers* h = &s->context->h;
    if (h->flags & (HEADER_FIRST_FRAGMENT | HEADER_LATER_FRAGMENT)) return false;
    if (h->family == 6 && h->l4 != h->l3 + sizeof(struct ipv6_header)) return false;
    if (h->protocol == PROTOCOL_UDP) {
        const struct udp_header* udp = (const struct udp_header*)packet_at(&s->packet, h->l4, sizeof *udp);
        return udp && udp->checksum && from_be16(udp->length) == h->end - h->l4;
    }
    return h->protocol == PROTOCOL_TCP || h->protocol == PROTOCOL_ICMP || h->protocol == PROTOCOL_ICMPV6;
}

SHARED u64 inner_sum(const struct pipeline* s) {
    const struct headers* h = &s->context->h;
    if (!inner_sum_is_known(s)) return packet_sum(&s->packet, h->l3, h->end - h->l3);
    u64 pseudo = sum_of_address(&h->source) + sum_of_address(&h->destination) +
                 to_be16((u16)(h->end - h->l4)).raw + ((u64)h->protocol << 8);
    if (h->protocol == PROTOCOL_ICMP) return 0;  // no pseudo-header: header and message both sum to nothing
    if (h->family == 4) return (u16)~sum_fold(pseudo);
    const struct ipv6_header* ip = (const struct ipv6_header*)packet_at(&s->packet, h->l3, sizeof *ip);
    if (!ip) return 0;
    u64 header = (u64)ip->version_class_label.raw + ip->payload_length.raw + ip->next_header +
                 ((u64)ip->hop_limit << 8) + sum_of_address(&h->source) + sum_of_address(&h->destination);
    return header + (u16)~sum_fold(pseudo);
}

// The checksum of the outer UDP header, before anything is moved. LENGTH: of the UDP datagram.
SHARED u16 gue_checksum(const struct pipeline* s, const struct outer_header* outer, u16 source_port, u16 port,
                        u32 length) {
    u64 sum = inner_sum(s) + sum_of_address(&outer->source) + sum_of_address(&outer->destination) +
              ((u64)PROTOCOL_UDP << 8) + 2 * (u64)to_be16((u16)length).raw + to_be16(source_port).raw +
              to_be16(port).raw;
    u16 checksum = (u16)~sum_fold(sum);
    return checksum ? checksum : 0xffff;
}

SHARED_END

#endif
