// SPDX-License-Identifier: Apache-2.0
//
// Fragments (RFC 791, 3.2; RFC 8200, 4.5): the first one of a datagram has the ports, later ones are told
// them. One table per worker suffices, since network cards steer all fragments of a datagram by its two
// addresses alone.
#pragma once

#include <memory>

#include "dataplane/tables/context.h"

namespace sluice {

class FragmentTable {
public:
    // Remembers up to `datagrams` (rounded up to a power of two), each for `lifetime_ticks`. A set that is
    // full forgets the datagram heard of longest ago: in a flood the newest are the ones with fragments still
    // to come.
    FragmentTable(u32 datagrams, u32 lifetime_ticks, u64 seed);

    // The datagram's name: the same for all its fragments, unlike for any other's but by chance (2^-64).
    u64 key(const headers& h) const;

    void remember(u64 key, const headers& first, u32 now);

    // Puts what the first fragment said into the headers of a later one. False when none was seen.
    bool recall(u64 key, headers& later, u32 now) const;
    bool knows(u64 key, u32 now) const { return find(key, now) != nullptr; }

private:
    static constexpr u32 ways = 8;

    struct Datagram {
        u64 key = 0;  // 0: free
        u32 seen = 0;
        u16 source_port = 0;
        u16 destination_port = 0;
        u8 protocol = 0;
        u8 icmp_type = 0;
        u8 tcp_flags = 0;
        u8 ports = 0;  // HEADER_PORTS or 0
    };

    const Datagram* find(u64 key, u32 now) const;
    Datagram* set_of(u64 key) const { return &datagrams_[(key & mask_) * ways]; }

    u32 lifetime_;
    u64 seed_;
    u64 mask_;
    std::unique_ptr<Datagram[]> datagrams_;
};

}  // namespace sluice
