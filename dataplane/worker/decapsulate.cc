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

}  // namespace

bool decapsulate(struct pipeline& s, Decapsulation& undo) {
    const headers& h = s.context->h;
    const u32 offset = h.l4 + (h.protocol == PROTOCOL_UDP ? u32{sizeof(udp_header)} : 0);
    const u16 type = inner_type(s.packet, h, offset);
    if (type == 0) return false;
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
    return true;
}

void encapsulate_again(struct packet& packet, Decapsulation& undo) {
    if (undo.data == nullptr) return;
    std::memcpy(packet.data, undo.saved, undo.length);
    packet.data = undo.data;
    packet.end = undo.end;
    undo.data = nullptr;
}

}  // namespace sluice
