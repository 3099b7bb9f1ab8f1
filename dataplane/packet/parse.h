// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Parse a frame into offsets and fields, refusing what is malformed with its reason.
//
// Three steps, each leaving its result in struct headers: link (Ethernet, up to two VLAN tags), network (IPv4
// with options, IPv6 with a bounded chain of extension headers, fragments), transport (TCP, UDP, SCTP, ICMP
// and the packet an ICMP error quotes). Offsets, never pointers: to the verifier a number reloaded from
// memory is just a number, so the paths of one step merge before the next begins.
#ifndef SLUICE_PACKET_PARSE_H
#define SLUICE_PACKET_PARSE_H

#include "dataplane/packet/address.h"
#include "dataplane/packet/headers.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/verdict.h"

SHARED_BEGIN

enum { MAX_VLAN_TAGS = 2, MAX_EXTENSION_HEADERS = 8 };

enum header_flags {
    HEADER_FIRST_FRAGMENT = 1,  // offset 0, more follow
    HEADER_LATER_FRAGMENT = 2,  // offset not 0: no transport header
    HEADER_IP_OPTIONS = 4,      // IPv4 options present
    HEADER_ICMP_ERROR = 8,      // inner_* describe the quoted packet
    HEADER_PORTS = 16,          // source_port and destination_port are of the wire
    HEADER_DONT_FRAGMENT = 32,  // IPv4 DF, or IPv6
    HEADER_UNICAST = 64         // Ethernet destination is one station's
};

struct headers {
    struct address source;  // of the outermost IP header
    struct address destination;
    u16 l3;        // offset of the IP header
    u16 l4;        // offset of the transport header; of the payload in a later fragment
    u32 end;       // offset one past the IP packet; what follows in the frame is padding
    u16 inner_l3;  // quoted packet of an ICMP error
    u16 inner_l4;
    u16 vlan;  // outer tag's control word, host order; 0 when untagged
    u16 vlan_inner;
    u16 vlan_type;  // ether type of the outer tag as loaded (memory order)
    u8 tags;        // VLAN tags present, 0 to 2
    u8 family;      // 4 or 6; 0: not IP
    u8 protocol;    // of the transport header, after extension headers
    u8 flags;       // header_flags
    u8 ttl;         // or hop limit
    u8 tos;         // TOS, or traffic class
    u8 tcp_flags;
    u8 icmp_type;
    u8 inner_protocol;
    u8 l3_next;       // IPv6: next header field of the fixed header
    u16 source_port;  // host order; an ICMP echo has its id in both
    u16 destination_port;
    u16 inner_source_port;
    u16 inner_destination_port;
    u16 fragment_offset;  // in bytes
    u32 fragment_id;
};

SHARED struct address address_from_ipv6(const struct ipv6_address* wire) {
    struct address a;
    a.word[0] = wire->word[0] | (u64)wire->word[1] << 32;
    a.word[1] = wire->word[2] | (u64)wire->word[3] << 32;
    return a;
}

SHARED u32 parse_link(const struct packet* p, struct headers* h) {
    u32 offset = sizeof(struct ethernet_header);
    const struct ethernet_header* ethernet = (const struct ethernet_header*)packet_at(p, 0, sizeof *ethernet);
    if (!ethernet) return drop(REASON_TRUNCATED);
    u16 type = from_be16(ethernet->type);
    h->flags = ethernet->destination[0] & 1 ? 0 : HEADER_UNICAST;
    h->vlan = 0;
    h->vlan_inner = 0;
    h->vlan_type = ethernet->type.raw;
    h->tags = 0;
    if (UNLIKELY(type == ETHER_VLAN || type == ETHER_QINQ)) {
        const struct vlan_tag* tag = (const struct vlan_tag*)packet_at(p, offset, sizeof *tag);
        if (!tag) return drop(REASON_TRUNCATED);
        h->vlan = from_be16(tag->control);
        h->tags = 1;
        type = from_be16(tag->type);
        offset += sizeof *tag;
        if (type == ETHER_VLAN || type == ETHER_QINQ) {
            tag = (const struct vlan_tag*)packet_at(p, offset, sizeof *tag);
            if (!tag) return drop(REASON_TRUNCATED);
            h->vlan_inner = from_be16(tag->control);
            h->tags = 2;
            type = from_be16(tag->type);
            offset += sizeof *tag;
        }
    }
    if (type == ETHER_IPV4)
        h->family = 4;
    else if (type == ETHER_IPV6)
        h->family = 6;
    else
        h->family = 0;  // not IP
    h->l3 = (u16)offset;
    return 0;
}

// One's-complement sum over an IPv4 header of LENGTH bytes (20 to 60), folded: 0xffff when its checksum is
// right.
SHARED u16 ipv4_header_sum(const struct packet* p, u32 l3, u32 length) {
    const struct be32* word = (const struct be32*)packet_at(p, l3, 20);
    if (!word) return 0;
    u64 sum = (u64)word[0].raw + word[1].raw + word[2].raw + word[3].raw + word[4].raw;
    if (UNLIKELY(length > 20)) {
        for (u32 i = 5; i < 15; i++) {
            if (i * 4 >= length) break;
            word = (const struct be32*)packet_at(p, l3 + i * 4, 4);
            if (!word) return 0;
            sum += word->raw;
        }
    }
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (u16)sum;
}

// Sorts out the fragment fields of either family; OFFSET in bytes, LENGTH of this fragment's payload.
SHARED u32 parse_fragment(struct headers* h, u32 offset, bool more, u32 id, u32 length) {
    h->fragment_offset = (u16)offset;
    h->fragment_id = id;
    if (offset) {
        h->flags |= HEADER_LATER_FRAGMENT;
        if (offset + length > 65535) return drop(REASON_FRAGMENT_OVERFLOW);
    } else if (more) {
        h->flags |= HEADER_FIRST_FRAGMENT;
    }
    return 0;
}

SHARED u32 parse_ipv4(const struct packet* p, struct headers* h) {
    u32 l3 = h->l3;
    const struct ipv4_header* ip = (const struct ipv4_header*)packet_at(p, l3, sizeof *ip);
    if (!ip) return drop(REASON_TRUNCATED);
    u32 length = (ip->version_length & 0xf) * 4u;
    u32 total = from_be16(ip->total_length);
    if ((ip->version_length >> 4) != 4) return drop(REASON_IPV4_VERSION);
    if (length < 20 || l3 + length > packet_length(p)) return drop(REASON_IPV4_HEADER_LENGTH);
    if (total < length || l3 + total > packet_length(p)) return drop(REASON_IPV4_TOTAL_LENGTH);
    if (ipv4_header_sum(p, l3, length) != 0xffff) return drop(REASON_IPV4_CHECKSUM);
    h->source = address_from_ipv4(ip->source);
    h->destination = address_from_ipv4(ip->destination);
    h->protocol = ip->protocol;
    h->ttl = ip->ttl;
    h->tos = ip->tos;
    h->l4 = (u16)(l3 + length);
    h->end = l3 + total;
    if (length > 20) h->flags |= HEADER_IP_OPTIONS;
    u16 fragment = from_be16(ip->fragment);
    if (fragment & IPV4_DONT_FRAGMENT) h->flags |= HEADER_DONT_FRAGMENT;
    if (LIKELY(!(fragment & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)))) return 0;
    return parse_fragment(h, (fragment & IPV4_OFFSET_MASK) * 8u, fragment & IPV4_MORE_FRAGMENTS,
                          from_be16(ip->id), total - length);
}

SHARED bool is_extension_header(u32 protocol) {
    return protocol == PROTOCOL_HOP_BY_HOP || protocol == PROTOCOL_ROUTING || protocol == PROTOCOL_FRAGMENT ||
           protocol == PROTOCOL_DESTINATION || protocol == PROTOCOL_AUTHENTICATION ||
           protocol == PROTOCOL_MOBILITY;
}

// Walks the extension headers from h->l4 to the transport header (RFC 8200, 4).
SHARED_COLD u32 parse_extension_headers(const struct packet* p, struct headers* h) {
    u32 offset = h->l4;
    u32 protocol = h->protocol;
    for (u32 i = 0; i < MAX_EXTENSION_HEADERS; i++) {
        const struct ipv6_fragment_header* next = (const struct ipv6_fragment_header*)packet_at(p, offset, 8);
        if (!next || offset + 8 > h->end) return drop(REASON_TRUNCATED);
        u32 length = (((const u8*)next)[1] + 1u) * 8u;
        if (protocol == PROTOCOL_FRAGMENT) length = 8;
        if (protocol == PROTOCOL_AUTHENTICATION) length = (((const u8*)next)[1] + 2u) * 4u;  // RFC 4302, 2.2
        if (offset + length > h->end) return drop(REASON_TRUNCATED);
        offset += length;
        if (protocol == PROTOCOL_FRAGMENT) {
            u16 bits = from_be16(next->offset_flags);
            u32 word = parse_fragment(h, bits & 0xfff8u, bits & 1, next->id.raw, h->end - offset);
            if (word) return word;
        }
        protocol = next->next_header;
        h->protocol = (u8)protocol;
        h->l4 = (u16)offset;
        if ((h->flags & HEADER_LATER_FRAGMENT) || !is_extension_header(protocol)) return 0;
    }
    return drop(REASON_IPV6_EXTENSION_CHAIN);
}

SHARED u32 parse_ipv6(const struct packet* p, struct headers* h) {
    u32 l3 = h->l3;
    const struct ipv6_header* ip = (const struct ipv6_header*)packet_at(p, l3, sizeof *ip);
    if (!ip) return drop(REASON_TRUNCATED);
    u32 first = from_be32(ip->version_class_label);
    u32 end = l3 + (u32)sizeof *ip + from_be16(ip->payload_length);
    if (first >> 28 != 6) return drop(REASON_IPV6_VERSION);
    if (end > packet_length(p)) return drop(REASON_IPV6_PAYLOAD_LENGTH);
    h->source = address_from_ipv6(&ip->source);
    h->destination = address_from_ipv6(&ip->destination);
    h->protocol = ip->next_header;
    h->l3_next = ip->next_header;
    h->ttl = ip->hop_limit;
    h->tos = (u8)(first >> 20);
    h->l4 = (u16)(l3 + sizeof *ip);
    h->end = end;
    h->flags |= HEADER_DONT_FRAGMENT;
    if (LIKELY(!is_extension_header(ip->next_header))) return 0;
    return parse_extension_headers(p, h);
}

SHARED u32 parse_network(const struct packet* p, struct headers* h) {
    h->fragment_offset = 0;
    h->fragment_id = 0;
    h->l3_next = 0;
    return h->family == 4 ? parse_ipv4(p, h) : parse_ipv6(p, h);
}

SHARED bool is_icmp_error(const struct headers* h) {
    if (h->protocol == PROTOCOL_ICMPV6) return h->icmp_type < 128;
    return h->icmp_type == ICMP_UNREACHABLE || h->icmp_type == ICMP_TIME_EXCEEDED ||
           h->icmp_type == ICMP_PARAMETER_PROBLEM;
}

// The packet that an ICMP error quotes: its first bytes, so only what flow look-up and translation need is
// asked for (RFC 792: header and 64 bits). What cannot be read, or has no ports, leaves the error as plain
// ICMP.
SHARED_COLD void parse_quoted(const struct packet* p, struct headers* h) {
    u32 l3 = h->l4 + (u32)sizeof(struct icmp_header);
    u32 l4;
    u8 protocol;
    if (h->family == 4) {
        const struct ipv4_header* ip = (const struct ipv4_header*)packet_at(p, l3, sizeof *ip);
        if (!ip || ip->version_length >> 4 != 4 || (ip->version_length & 0xf) < 5) return;
        if (from_be16(ip->fragment) & IPV4_OFFSET_MASK) return;
        l4 = l3 + (ip->version_length & 0xf) * 4u;
        protocol = ip->protocol;
    } else {
        const struct ipv6_header* ip = (const struct ipv6_header*)packet_at(p, l3, sizeof *ip);
        if (!ip || from_be32(ip->version_class_label) >> 28 != 6) return;
        l4 = l3 + (u32)sizeof *ip;
        protocol = ip->next_header;
    }
    if (l4 + 8 > h->end) return;
    const struct udp_header* ports = (const struct udp_header*)packet_at(p, l4, 8);
    if (!ports) return;
    if (protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP) {
        h->inner_source_port = from_be16(ports->source);
        h->inner_destination_port = from_be16(ports->destination);
    } else if (protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6) {
        h->inner_source_port = from_be16(((const struct icmp_header*)ports)->id);
        h->inner_destination_port = h->inner_source_port;
    } else {
        return;
    }
    h->inner_protocol = protocol;
    h->inner_l3 = (u16)l3;
    h->inner_l4 = (u16)l4;
    h->flags |= HEADER_ICMP_ERROR;
}

SHARED u32 parse_icmp(const struct packet* p, struct headers* h, u32 available) {
    const struct icmp_header* icmp = (const struct icmp_header*)packet_at(p, h->l4, sizeof *icmp);
    if (!icmp || available < sizeof *icmp) return drop(REASON_TRUNCATED);
    h->icmp_type = icmp->type;
    if (is_icmp_error(h)) {
        parse_quoted(p, h);
        return 0;
    }
    if (icmp->type == ICMP_ECHO || icmp->type == ICMP_ECHO_REPLY || icmp->type == ICMPV6_ECHO ||
        icmp->type == ICMPV6_ECHO_REPLY) {
        h->source_port = from_be16(icmp->id);
        h->destination_port = h->source_port;
    }
    return 0;
}

SHARED u32 parse_ports(const struct packet* p, struct headers* h) {
    const struct udp_header* ports = (const struct udp_header*)packet_at(p, h->l4, 4);
    if (!ports) return drop(REASON_TRUNCATED);
    h->source_port = from_be16(ports->source);
    h->destination_port = from_be16(ports->destination);
    h->flags |= HEADER_PORTS;
    return 0;
}

// A first fragment that ends before its ports and, for TCP, its flags (RFC 1858, 3; RFC 3128), or a packet
// cut short.
SHARED u32 parse_short_transport(const struct headers* h) {
    return drop(h->flags & HEADER_FIRST_FRAGMENT ? REASON_FRAGMENT_TINY : REASON_TRUNCATED);
}

SHARED u32 parse_tcp(const struct packet* p, struct headers* h, u32 available) {
    const struct tcp_header* tcp = (const struct tcp_header*)packet_at(p, h->l4, sizeof *tcp);
    if (!tcp || available < sizeof *tcp) return parse_short_transport(h);
    u32 length = (tcp->data_offset >> 4) * 4u;
    if (length < 20 || (length > available && !(h->flags & HEADER_FIRST_FRAGMENT)))
        return drop(REASON_TCP_DATA_OFFSET);
    h->tcp_flags = tcp->flags;
    return parse_ports(p, h);
}

SHARED u32 parse_udp(const struct packet* p, struct headers* h, u32 available) {
    const struct udp_header* udp = (const struct udp_header*)packet_at(p, h->l4, sizeof *udp);
    if (!udp || available < sizeof *udp) return parse_short_transport(h);
    u32 length = from_be16(udp->length);
    if (length < 8 || (length > available && !(h->flags & HEADER_FIRST_FRAGMENT)))
        return drop(REASON_UDP_LENGTH);
    return parse_ports(p, h);
}

SHARED u32 parse_transport(const struct packet* p, struct headers* h) {
    u32 available = h->end - h->l4;
    h->tcp_flags = 0;
    h->icmp_type = 0;
    h->source_port = 0;
    h->destination_port = 0;
    if (h->flags & HEADER_LATER_FRAGMENT) return 0;
    if (h->protocol == PROTOCOL_TCP) return parse_tcp(p, h, available);
    if (h->protocol == PROTOCOL_UDP) return parse_udp(p, h, available);
    if (h->protocol == (h->family == 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6)) return parse_icmp(p, h, available);
    if (h->protocol == PROTOCOL_SCTP) {
        if (available < 12) return parse_short_transport(h);  // RFC 9260, 3.1: common header
        return parse_ports(p, h);
    }
    return 0;
}

SHARED_END

#endif
