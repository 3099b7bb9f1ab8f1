// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/fragments.h"

#include <algorithm>
#include <bit>

#include "dataplane/tables/image.h"

namespace sluice {

FragmentTable::FragmentTable(u32 datagrams, u32 lifetime_ticks, u64 seed)
    : lifetime_(lifetime_ticks),
      seed_(seed),
      mask_(std::bit_ceil(std::clamp(datagrams, ways, 1u << 24)) / ways - 1),
      datagrams_(new Datagram[(mask_ + 1) * ways]) {}

u64 FragmentTable::key(const headers& h) const {
    // IPv6 names a datagram without its protocol (RFC 8200, 4.5), IPv4 with it (RFC 791, 3.2).
    const u64 protocol = h.family == 4 ? h.protocol : 0;
    const u64 name = u64{h.fragment_id} | protocol << 32 | u64{h.family} << 40;
    const u64 hash = image_hash(&h.destination, image_hash(&h.source, seed_ ^ name) + name);
    return hash != 0 ? hash : 1;
}

const FragmentTable::Datagram* FragmentTable::find(u64 key, u32 now) const {
    const Datagram* const set = set_of(key);
    const Datagram* const at = std::find_if(set, set + ways, [&](const Datagram& d) { return d.key == key; });
    return at != set + ways && now - at->seen <= lifetime_ ? at : nullptr;
}

void FragmentTable::remember(u64 key, const headers& first, u32 now) {
    Datagram* const set = set_of(key);
    Datagram* victim = set;
    for (Datagram* at = set; at != set + ways; at++) {
        if (at->key == key) {
            victim = at;
            break;
        }
        if (victim->key != 0 && (at->key == 0 || now - at->seen > now - victim->seen)) victim = at;
    }
    *victim = {key,
               now,
               first.source_port,
               first.destination_port,
               first.protocol,
               first.icmp_type,
               first.tcp_flags,
               static_cast<u8>(first.flags & HEADER_PORTS)};
}

bool FragmentTable::recall(u64 key, headers& later, u32 now) const {
    const Datagram* const datagram = find(key, now);
    if (datagram == nullptr) return false;
    later.source_port = datagram->source_port;
    later.destination_port = datagram->destination_port;
    later.protocol = datagram->protocol;
    later.icmp_type = datagram->icmp_type;
    later.tcp_flags = datagram->tcp_flags;
    later.flags |= datagram->ports;
    return true;
}

}  // namespace sluice
