// SPDX-License-Identifier: Apache-2.0
//
// Packets addressed to a tunnel endpoint of ours: the outer headers are taken off, such that the pipeline can
// begin anew on the packet inside, and put back where that packet turns out to be the host's or has to wait.
#pragma once

#include "dataplane/pipeline/stage.h"

namespace sluice {

// The bytes that decapsulate() wrote over, and where the frame began and ended.
struct Decapsulation {
    static constexpr u32 ecn_bytes = 12;  // IPv4: up to the checksum, included

    u8* data = nullptr;  // null: nothing to undo
    u8* end = nullptr;
    u32 length = 0;          // bytes saved
    u8* inner_at = nullptr;  // null: too short for an IP header
    u8 inner[ecn_bytes];     // the inner packet's first bytes, which the outer ECN field may change
    u8 saved[sizeof(ethernet_header) + MAX_VLAN_TAGS * sizeof(vlan_tag)];
};

// Strips the outer IPIP (4in4, 4in6, 6in4, 6in6) or GUE variant 1 header of a parsed packet; the frame gets
// the link header it had, naming the inner family. The inner packet takes on the outer one's congestion mark
// (RFC 6040, 4.2). 0; or, with nothing changed, PASS when no IP packet is inside, or a drop: the outer UDP
// checksum is wrong (none is right, also over IPv6: RFC 6935), or the mark would be lost.
u32 decapsulate(struct pipeline& s, Decapsulation& undo);

// The frame as it was before.
void encapsulate_again(struct packet& packet, Decapsulation& undo);

}  // namespace sluice
