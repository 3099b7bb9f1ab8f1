// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Network address translation: addresses and ports, with their checksums, in one place each. The flow holds
// what a sum changes by; the reply direction changes it by the complement.
#ifndef SLUICE_PIPELINE_TRANSLATE_H
#define SLUICE_PIPELINE_TRANSLATE_H

#include "dataplane/pipeline/route.h"

SHARED_BEGIN

enum { TTL_DELTA = 0xfffe };  // one less in the low byte of the TTL/protocol word: -1 in one's complement

// The endpoints that a packet gets. Those of an ICMP error's quoted packet are the same, the other way round.
struct translation {
    struct address source;
    struct address destination;
    struct address sender;  // the endpoint that sends in this direction, as it calls itself
    u16 source_port;
    u16 destination_port;
    u16 sum_l3;  // changes of the sums
    u16 sum_l4;
};

SHARED u16 in_direction(u16 sum, u32 direction) { return direction ? (u16)~sum : sum; }

// Source and destination after translation; what stays is taken from the query, which has the packet's own.
SHARED bool translation_of(struct pipeline* s, struct translation* to) {
    const struct pipeline_context* c = s->context;
    const struct flow* flow = s->ref.flow;
    bool full = c->mode == MODE_FULLNAT;
    struct address initiator, responder, target, nat = {{0, 0}};
    if (UNLIKELY(flow->flags & FLOW_WIDE)) {
        const struct flow_addresses* wide = flow_addresses_at(&s->tables, s->ref.at->index);
        if (!wide) return false;
        initiator = wide->initiator;
        responder = wide->responder;
        target = wide->target;
    } else {
        struct be32 word;
        __builtin_memcpy(&word, flow->initiator.address, 4);
        initiator = address_from_ipv4(word);
        __builtin_memcpy(&word, flow->responder.address, 4);
        responder = address_from_ipv4(word);
        target = address_from_ipv4_word(flow->target);
    }
    if (full) nat_address(s, flow->nat_slot, c->h.family, &nat);
    to->sender = c->direction ? target : initiator;
    if (c->direction) {
        to->source = responder;
        to->source_port = flow->responder.port;
        to->destination = initiator;
        to->destination_port = flow->initiator.port;
    } else {
        to->source = full ? nat : initiator;
        to->source_port = full ? flow->nat_port : flow->initiator.port;
        to->destination = target;
        to->destination_port = flow->target_port;
    }
    to->sum_l3 = in_direction(flow->sum_l3, c->direction);
    to->sum_l4 = in_direction(flow->sum_l4, c->direction);
    return true;
}

SHARED void ipv6_address_store(struct ipv6_address* wire, const struct address* a) {
    wire->word[0] = (u32)a->word[0];
    wire->word[1] = (u32)(a->word[0] >> 32);
    wire->word[2] = (u32)a->word[1];
    wire->word[3] = (u32)(a->word[1] >> 32);
}

// Writes the addresses of the IP header at L3. IPv4: DELTA is what the header's sum changes by.
SHARED u32 write_addresses(struct pipeline* s, u32 l3, const struct address* source,
                           const struct address* destination, u16 delta) {
    if (s->context->h.family == 4) {
        struct ipv4_header* ip = (struct ipv4_header*)packet_at(&s->packet, l3, sizeof *ip);
        if (!ip) return drop(REASON_TRUNCATED);
        ip->source = address_to_ipv4(source);
        ip->destination = address_to_ipv4(destination);
        ip->checksum = checksum_update(ip->checksum, delta);
        return 0;
    }
    struct ipv6_header* ip = (struct ipv6_header*)packet_at(&s->packet, l3, sizeof *ip);
    if (!ip) return drop(REASON_TRUNCATED);
    ipv6_address_store(&ip->source, source);
    ipv6_address_store(&ip->destination, destination);
    return 0;
}

// UDP: no checksum stays none, and one that comes out as 0 is sent as its other form (RFC 768).
SHARED u16 udp_checksum_update(u16 checksum, u16 delta) {
    if (!checksum) return 0;
    checksum = checksum_update(checksum, delta);
    return checksum ? checksum : 0xffff;
}

// Writes the ports of the transport header at L4 and updates its checksum, as far as the packet (up to END)
// has it. Answers by how much the checksum field's own sum changed.
SHARED u16 write_ports(struct pipeline* s, u32 l4, u32 end, u8 protocol, u16 source, u16 destination,
                       u16 delta) {
    struct udp_header* udp = (struct udp_header*)packet_at(&s->packet, l4, sizeof *udp);
    if (!udp) return 0;
    u32 old_ports = udp->source.raw | (u32)udp->destination.raw << 16;
    udp->source = to_be16(source);
    udp->destination = to_be16(destination);
    if (protocol == PROTOCOL_UDP) {
        u16 old = udp->checksum;
        udp->checksum = udp_checksum_update(old, delta);
        return sum_delta(old, udp->checksum);
    }
    if (protocol == PROTOCOL_SCTP) {
        packet_update_crc32c(&s->packet, l4, end, old_ports);
        return 0;
    }
    struct tcp_header* tcp = (struct tcp_header*)packet_at(&s->packet, l4, sizeof *tcp - 2);
    if (!tcp || l4 + sizeof *tcp - 2 > end) return 0;
    u16 old = tcp->checksum;
    tcp->checksum = checksum_update(old, delta);
    return sum_delta(old, tcp->checksum);
}

// A packet of the flow itself.
SHARED u32 translate_packet(struct pipeline* s, const struct translation* to) {
    struct pipeline_context* c = s->context;
    u32 word = write_addresses(s, c->h.l3, &to->source, &to->destination, to->sum_l3);
    if (word || (c->h.flags & HEADER_LATER_FRAGMENT)) return word;
    write_ports(s, c->h.l4, c->h.end, c->h.protocol, to->source_port, to->destination_port, to->sum_l4);
    return 0;
}

// An ICMP error (RFC 5508, 4.2): the quoted packet becomes what its sender knows, the header around it
// follows. Its source is replaced only where it is an endpoint of the flow: a router in between stays
// visible.
SHARED u32 translate_error(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    struct translation translation;
    const struct translation* to = &translation;
    if (!s->ref.flow) return drop(REASON_FLOW_REPLACED);
    if (!translation_of(s, &translation)) return drop(REASON_FLOW_REPLACED);
    struct address source = address_equal(&c->h.source, &to->sender) ? to->source : c->h.source;
    u16 outer = sum_delta(sum_of_address(&c->h.source) + sum_of_address(&c->h.destination),
                          sum_of_address(&source) + sum_of_address(&to->destination));
    u16 ports = sum_delta(to->sum_l3, to->sum_l4);
    u32 word = write_addresses(s, c->h.inner_l3, &to->destination, &to->source, to->sum_l3);
    if (word) return word;
    u16 field = write_ports(s, c->h.inner_l4, c->h.end, c->h.inner_protocol, to->destination_port,
                            to->source_port, to->sum_l4);
    struct icmp_header* icmp = (struct icmp_header*)packet_at(&s->packet, c->h.l4, sizeof *icmp);
    if (!icmp) return drop(REASON_TRUNCATED);
    // IPv4: a header's sum stays as it was, since its checksum took up what its addresses changed. ICMPv6
    // covers the quoted addresses and, by the pseudo-header, the outer ones (RFC 4443, 2.3).
    u16 delta = sum_add(ports, field);
    if (c->h.family == 6) delta = sum_add(delta, sum_add(to->sum_l3, outer));
    icmp->checksum = checksum_update(icmp->checksum, delta);
    return write_addresses(s, c->h.l3, &source, &to->destination, outer);
}

STAGE_APART(translate_error)

// What a new port does to the CRC32c depends on all that follows it, and a fragment has not got all. New
// addresses do nothing: SCTP has no pseudo-header (RFC 9260, 6.8).
SHARED bool sctp_is_cut(const struct headers* h, const struct translation* to) {
    return h->protocol == PROTOCOL_SCTP && (h->flags & (HEADER_FIRST_FRAGMENT | HEADER_LATER_FRAGMENT)) &&
           (h->source_port != to->source_port || h->destination_port != to->destination_port);
}

SHARED u32 translate(struct pipeline* s) {
    struct translation to;
    if (UNLIKELY(s->context->h.flags & HEADER_ICMP_ERROR)) return translate_error_apart(s);
    if (!translation_of(s, &to)) return drop(REASON_FLOW_REPLACED);
    if (packet_sum_is_possible() && UNLIKELY(sctp_is_cut(&s->context->h, &to)))
        return drop(REASON_SCTP_FRAGMENT);
    return translate_packet(s, &to);
}

SHARED_END

#endif
