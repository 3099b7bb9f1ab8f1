// SPDX-License-Identifier: Apache-2.0
//
// Cuts the IP packet of a frame that is ready to leave into fragments: IPv4 without DF (RFC 791, 2.3), or an
// IPv6 packet that this node made, an outer header (RFC 8200, 4.5).
#pragma once

#include <array>

#include "dataplane/io/frame.h"
#include "dataplane/packet/headers.h"

namespace sluice {

class Split {
public:
    static constexpr u32 most = 32;  // fragments of one packet

    // MTU in bytes of an IP packet. IDENTIFICATION is used where the packet has none of its own. `frame` must
    // not be written to before the last write().
    Split(const Frame& frame, u32 mtu, u32 identification);

    // 0: cannot be cut (over `most`, or no head room for an IPv6 fragment header).
    u32 count() const { return count_; }
    // Writes fragment INDEX, 1 to count() - 1, from piece.data on; sets piece.end.
    void write(u32 index, Frame& piece) const;
    // Makes the frame itself the first fragment. After the last write().
    void cut(Frame& frame) const;

private:
    static constexpr u32 longest_head =
        sizeof(ethernet_header) + 2 * sizeof(vlan_tag) + sizeof(ipv6_header) + 8;

    u32 length_of(u32 index) const { return index + 1 == count_ ? payload_length_ - index * unit_ : unit_; }
    void begin_ipv4(u32 mtu, u32 identification);
    void begin_ipv6(u32 mtu, u32 identification);
    void head_ipv4(u32 index, u8* head) const;
    void head_ipv6(u32 index, u8* head) const;
    // Link and IP headers of a fragment.
    void head(u32 index, u8* to) const;

    std::array<u8, longest_head> head_{};
    u32 head_length_ = 0;  // of all fragments
    u32 l3_;
    u32 added_ = 0;  // bytes by which it is longer than the packet's own
    const u8* payload_ = nullptr;
    u32 payload_length_ = 0;
    u32 unit_ = 0;   // bytes of payload in all fragments but the last
    u32 first_ = 0;  // IPv4: offset of the packet's own payload, in bytes
    bool more_ = false;
    u32 identification_ = 0;
    u8 next_ = 0;
    u32 count_ = 0;
};

}  // namespace sluice
