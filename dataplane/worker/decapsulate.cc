// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/decapsulate.h"

#include <cstring>

namespace sluice {

namespace {

// Ether type of what lies inside; 0: not an IP packet, or not one that this tunnel carries.
u16 inner_type(const struct packet& packet, const headers& h, u32 offset) {
    if (h.protocol == PROTOCOL_IPIP) return ETHER_IPV4;
    if (h.protocol == PROTOCOL_IPV6) return ETHER_IPV6;
    const u8* first = packet_at(&packet, offset, 1);
    if (first == nullptr || offset >= h.end) return 0;
    if (*first >> 4 == 4) return ETHER_IPV4;  // GUE variant 1: the IP version is the variant
    return *first >> 4 == 6 ? ETHER_IPV6 : 0;
}

bool outer_checksum_is_wrong(const struct packet& packet, const headers& h) {
    if (h.protocol != PROTOCOL_UDP) return false;
    udp_header udp;
    std::memcpy(&udp, packet.data + h.l4, sizeof udp);
    if (udp.checksum == 0) return false;
    const u32 length = from_be16(udp.length);
    const u64 sum = packet_sum(&packet, h.l4, length) + sum_of_address(&h.source) +
                    sum_of_address(&h.destination) + to_be16(static_cast<u16>(length)).raw +
                    (u64{PROTOCOL_UDP} << 8);
    return sum_fold(sum) != 0xffff;
}

enum ecn : u8 { NOT_ECT, ECT_1, ECT_0, CE };

// The inner field after decapsulation (RFC 6040, figure 4), for what is not dropped.
u8 ecn_inside(u8 inner, u8 outer) {
    if (inner == NOT_ECT || inner == CE) return inner;
    if (outer == CE || outer == ECT_1) return outer;
    return inner;
}

u8 tos_at(const u8* ip) { return *ip >> 4 == 4 ? ip[1] : static_cast<u8>(ip[0] << 4 | ip[1] >> 4); }

void set_ecn(u8* ip, u8 ecn) {
    const u8 tos = tos_at(ip);
    const u8 marked = static_cast<u8>((tos & ~3) | ecn);
    if (*ip >> 4 == 6) {
        ip[1] = static_cast<u8>((ip[1] & 0xcf) | ecn << 4);
        return;
    }
    u16 checksum;
    std::memcpy(&checksum, ip + 10, sizeof checksum);
    checksum = checksum_update(checksum, sum_delta(u64{tos} << 8, u64{marked} << 8));
    std::memcpy(ip + 10, &checksum, sizeof checksum);
    ip[1] = marked;
}

}  // namespace

u32 decapsulate(struct pipeline& s, Decapsulation& undo) {
    const headers& h = s.context->h;
    const u32 offset = h.l4 + (h.protocol == PROTOCOL_UDP ? u32{sizeof(udp_header)} : 0);
    const u16 type = inner_type(s.packet, h, offset);
    if (type == 0) return VERDICT_PASS;
    if (outer_checksum_is_wrong(s.packet, h)) return drop(REASON_TUNNEL_CHECKSUM);
    u8* const ip = packet_at(&s.packet, offset, Decapsulation::ecn_bytes);
    const bool inside = ip != nullptr && offset + Decapsulation::ecn_bytes <= h.end;
    const u8 outer = h.tos & 3;
    const u8 inner = inside ? tos_at(ip) & 3 : u8{NOT_ECT};
    if (inside && outer == CE && inner == NOT_ECT) return drop(REASON_TUNNEL_ECN);
    if (inside) {
        std::memcpy(undo.inner, ip, sizeof undo.inner);
        if (ecn_inside(inner, outer) != inner) set_ecn(ip, ecn_inside(inner, outer));
    }
    undo.inner_at = inside ? ip : nullptr;
    u8 link[sizeof undo.saved];
    std::memcpy(link, s.packet.data, h.l3);
    const be16 wire_type = to_be16(type);
    std::memcpy(link + h.l3 - sizeof wire_type, &wire_type, sizeof wire_type);
    undo.data = s.packet.data;
    undo.end = s.packet.end;
    s.packet.end = s.packet.data + h.end;  // padding behind the outer packet is not the inner one's
    s.packet.data += offset - h.l3;
    undo.length = h.l3;
    std::memcpy(undo.saved, s.packet.data, h.l3);
    std::memcpy(s.packet.data, link, h.l3);
    return 0;
}

void encapsulate_again(struct packet& packet, Decapsulation& undo) {
    if (undo.data == nullptr) return;
    std::memcpy(packet.data, undo.saved, undo.length);
    if (undo.inner_at != nullptr) std::memcpy(undo.inner_at, undo.inner, sizeof undo.inner);
    packet.data = undo.data;
    packet.end = undo.end;
    undo.data = nullptr;
}

}  // namespace sluice
