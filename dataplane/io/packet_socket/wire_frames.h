// SPDX-License-Identifier: Apache-2.0
//
// What the kernel shows of a packet is not what was on the wire: a sender on the same machine leaves the
// checksum to hardware that there is not, several segments of a connection come as one, and a VLAN tag lies
// beside the frame. The engine takes frames as they would be on a wire, so they are made here.
#pragma once

#include "dataplane/io/frame.h"

namespace sluice {

// What is left to do to a packet: struct virtio_net_hdr of linux/virtio_net.h, which is no C++.
struct Offload {
    static constexpr u8 needs_checksum = 1;                             // flag
    static constexpr u8 none = 0, tcp_ipv4 = 1, tcp_ipv6 = 4, udp = 5;  // kinds
    static constexpr u8 ecn = 0x80;                                     // beside a kind

    u8 flags = 0;
    u8 kind = none;       // of several segments in one
    u16 head_length = 0;  // a hint
    u16 segment = 0;      // bytes of payload in each but the last
    u16 sum_from = 0;     // where the bytes begin that the checksum is over
    u16 sum_at = 0;       // and where from there it is put
};
static_assert(sizeof(Offload) == 10);

struct KernelPacket {
    const u8* data = nullptr;  // the frame without its outer tag
    u32 length = 0;
    u16 tag_type = 0;  // of the outer tag, host order; 0: none
    u16 tag = 0;       // its control word
    Offload offload;
};

class WireFrames {
public:
    // Bytes before frame.data that write() may use.
    static constexpr u32 headroom = 4;

    WireFrames() = default;
    // `packet.data` must stay until the last write(). What is no sound packet, or of a kind of offload that
    // is not known, has no frames.
    explicit WireFrames(const KernelPacket& packet);

    u32 left() const { return count_ - next_; }
    bool several() const { return count_ > 1; }
    bool finishes_checksum() const { return checksum_ != 0; }
    // Bytes of the longest of them.
    u32 longest() const { return longest_; }

    // The next one, from frame.data on, or four bytes before; sets frame.data and frame.end.
    void write(Frame& frame);

private:
    bool find_network_header();
    bool begin_segments();
    u32 write_segment(u8* to, u32 index) const;
    void finish_whole(u8* frame) const;

    KernelPacket packet_;
    u32 l3_ = 0;
    u32 l4_ = 0;
    u32 head_ = 0;      // of segments: up to the payload
    u32 segment_ = 0;   // bytes of payload in all but the last
    u32 checksum_ = 0;  // offset of the checksum to finish; 0: none
    bool tcp_ = false;
    bool ipv4_ = false;
    u32 longest_ = 0;
    u32 count_ = 0;
    u32 next_ = 0;
};

}  // namespace sluice
