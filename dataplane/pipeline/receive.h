// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Stages receive, interest, tunnel, fragment: is the packet ours to look at, and is it one we can look into?
#ifndef SLUICE_PIPELINE_RECEIVE_H
#define SLUICE_PIPELINE_RECEIVE_H

#include "dataplane/pipeline/stage.h"

SHARED_BEGIN

SHARED bool mac_equal(const u8* a, const u8* b) {
    u32 high_a, high_b;
    u16 low_a, low_b;
    __builtin_memcpy(&high_a, a, 4);
    __builtin_memcpy(&high_b, b, 4);
    __builtin_memcpy(&low_a, a + 4, 2);
    __builtin_memcpy(&low_b, b + 4, 2);
    return high_a == high_b && low_a == low_b;
}

// The ingress port by device and outer tag; frames of unknown tags, to another station or to a group pass to
// the host.
SHARED u32 stage_receive(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    u32 vlan = c->h.tags ? c->h.vlan & 0xfff : 0;
    c->port = node_port_find(s->tables.node, c->ifindex, vlan);
    if (!c->port) return VERDICT_PASS;
    const struct node_port* port = port_of(s, c->port);
    if (!c->h.family || !(c->h.flags & HEADER_UNICAST)) return VERDICT_PASS;
    if (port->flags & (PORT_PROMISCUOUS | PORT_ANY_MAC)) return 0;
    const u8* mac = packet_at(&s->packet, 0, 6);
    if (!mac || !mac_equal(mac, port->mac)) return VERDICT_PASS;
    return 0;
}

// Addresses of the packet that an ICMP error quotes, from its sender's view.
SHARED bool quoted_addresses(const struct pipeline* s, struct address* source, struct address* destination) {
    const struct headers* h = &s->context->h;
    if (h->family == 4) {
        const struct ipv4_header* ip =
            (const struct ipv4_header*)packet_at(&s->packet, h->inner_l3, sizeof *ip);
        if (!ip) return false;
        *source = address_from_ipv4(ip->source);
        *destination = address_from_ipv4(ip->destination);
        return true;
    }
    const struct ipv6_header* ip = (const struct ipv6_header*)packet_at(&s->packet, h->inner_l3, sizeof *ip);
    if (!ip) return false;
    *source = address_from_ipv6(&ip->source);
    *destination = address_from_ipv6(&ip->destination);
    return true;
}

// Sets the addresses by which the packet's flow is known, and lets go what cannot concern us. An ICMP error
// belongs to the flow of the packet inside, in the direction opposite to that packet's.
SHARED u32 stage_interest(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    const struct node_state* node = s->tables.node;
    if (UNLIKELY(c->h.flags & HEADER_ICMP_ERROR)) {
        if (!quoted_addresses(s, &c->q.destination_address, &c->q.source_address)) return VERDICT_PASS;
        if (interest_has(&node->destination, &c->h.destination)) return 0;
    } else {
        address_copy(&c->q.source_address, &c->h.source);
        address_copy(&c->q.destination_address, &c->h.destination);
    }
    if (interest_has(&node->destination, &c->q.destination_address)) return 0;
    if (interest_has(&node->source, &c->q.source_address)) return 0;
    return VERDICT_PASS;
}

// What the image says of the packet's destination; NULL when nothing covers it.
SHARED const struct image_destination* destination_of(struct pipeline* s, const struct address* a) {
    const struct image_header* header = image_header_of(&s->tables);
    const struct image_lpm* lpm = image_lpm_of(&s->tables, LPM_DESTINATION);
    if (!header || !lpm) return NULL;
    u32 record = image_lpm_find(&s->tables, lpm, a);
    return (const struct image_destination*)image_record(&s->tables, header->destinations, record,
                                                         sizeof(struct image_destination));
}

SHARED bool is_tunnel_packet(const struct headers* h) {
    return h->protocol == PROTOCOL_IPIP || h->protocol == PROTOCOL_IPV6 || h->protocol == PROTOCOL_UDP;
}

// Whether there are tunnel endpoints, and this could be a packet to one.
SHARED bool may_be_tunnelled(const struct pipeline* s) {
    const struct headers* h = &s->context->h;
    if (LIKELY(!is_tunnel_packet(h))) return false;
    const struct image_header* header = image_header_of(&s->tables);
    if (!header || !(header->flags & IMAGE_TUNNELS)) return false;
    return !(h->flags & (HEADER_FIRST_FRAGMENT | HEADER_LATER_FRAGMENT));
}

SHARED u32 tunnel_endpoint(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    const struct image_destination* destination = destination_of(s, &c->h.destination);
    if (!destination || !destination->tunnel) return 0;
    bool udp = c->h.protocol == PROTOCOL_UDP;
    if (udp != (destination->tunnel == TUNNEL_GUE)) return VERDICT_PASS;
    if (udp && c->h.destination_port != GUE_PORT) return VERDICT_PASS;
    if (c->flags & CONTEXT_DECAPSULATED) return drop(REASON_TUNNEL_NESTED);
    return punt(PUNT_TUNNEL);
}

STAGE_APART(tunnel_endpoint)

// Packets to a tunnel endpoint of ours are unwrapped by the engine, which then runs the pipeline on the inner
// packet.
SHARED u32 stage_tunnel(struct pipeline* s) {
    return LIKELY(!may_be_tunnelled(s)) ? 0 : tunnel_endpoint_apart(s);
}

// Fragments go where the others of their datagram are known: the engine, which supplies the ports of later
// ones.
SHARED u32 stage_fragment(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    if (LIKELY(!(c->h.flags & (HEADER_FIRST_FRAGMENT | HEADER_LATER_FRAGMENT)))) return 0;
    return fragment_ports(&s->tables, c);
}

SHARED_END

#endif
