// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/packet_socket/wire_frames.h"

#include <linux/if_ether.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "dataplane/io/sums.h"
#include "dataplane/packet/headers.h"

namespace sluice {

namespace {

constexpr u32 tag_bytes = WireFrames::headroom;
constexpr u32 addresses_bytes = 2 * ETH_ALEN;

u16 load16(const u8* at) { return static_cast<u16>(at[0] << 8 | at[1]); }
u32 load32(const u8* at) { return u32{load16(at)} << 16 | load16(at + 2); }
void store16(u8* at, u32 value) {
    at[0] = static_cast<u8>(value >> 8);
    at[1] = static_cast<u8>(value);
}
void store32(u8* at, u32 value) {
    store16(at, value >> 16);
    store16(at + 2, value & 0xffff);
}

// The field for what sums to SUM; never 0, which says "none" in UDP and is as good as this elsewhere.
void store_checksum(u8* field, u64 sum) {
    const u16 folded = sum_fold(sum);
    const u16 checksum = folded == 0xffff ? folded : static_cast<u16>(~folded);
    std::memcpy(field, &checksum, sizeof checksum);
}

void store_crc32c(u8* field, const u8* from, const u8* end) {
    std::memset(field, 0, sizeof(u32));
    u32 crc = ~0U;
    for (; end - from >= 8; from += 8) {
        u64 word;
        std::memcpy(&word, from, sizeof word);
        crc = crc32c_word(crc, word);
    }
    for (; from != end; ++from) crc = crc32c_byte(crc, *from);
    crc = ~crc;
    std::memcpy(field, &crc, sizeof crc);  // least byte first
}

constexpr u32 sctp_checksum = 8;  // offset in its header; TCP's and UDP's are others

}  // namespace

WireFrames::WireFrames(const KernelPacket& packet) : packet_(packet) {
    const Offload& offload = packet.offload;
    if ((offload.flags & Offload::needs_checksum) != 0) {
        l4_ = offload.sum_from;
        checksum_ = l4_ + offload.sum_at;
        const u32 field = offload.sum_at == sctp_checksum ? sizeof(u32) : sizeof(u16);
        if (l4_ < ETH_HLEN || checksum_ + field > packet.length) return;
    }
    if (offload.kind != Offload::none) {
        if (!begin_segments()) return;
        longest_ = head_ + segment_;
    } else {
        longest_ = packet.length;
        count_ = 1;
    }
    if (packet.tag_type != 0) longest_ += tag_bytes;
}

bool WireFrames::find_network_header() {
    u32 type_at = addresses_bytes;
    for (u32 tags = 0; tags < 2; ++tags) {
        if (type_at + 2 > packet_.length) return false;
        const u16 type = load16(packet_.data + type_at);
        if (type != ETHER_VLAN && type != ETHER_QINQ) break;
        type_at += tag_bytes;
    }
    l3_ = type_at + 2;
    if (l3_ + sizeof(ipv4_header) > l4_) return false;
    ipv4_ = packet_.data[l3_] >> 4 == 4;
    return ipv4_ || l3_ + sizeof(ipv6_header) <= l4_;
}

bool WireFrames::begin_segments() {
    const u32 type = packet_.offload.kind & ~u32{Offload::ecn};
    tcp_ = type == Offload::tcp_ipv4 || type == Offload::tcp_ipv6;
    if (!tcp_ && type != Offload::udp) return false;
    if (checksum_ == 0 || !find_network_header()) return false;
    const u32 least = tcp_ ? sizeof(tcp_header) : sizeof(udp_header);
    if (l4_ + least > packet_.length) return false;
    head_ = l4_ + (tcp_ ? (packet_.data[l4_ + 12] >> 4) * 4U : least);
    segment_ = packet_.offload.segment;
    if (head_ < l4_ + least || head_ >= packet_.length || segment_ == 0) return false;
    if (checksum_ + sizeof(u16) > head_) return false;  // early 6.1 kernels let any field's place through
    count_ = (packet_.length - head_ + segment_ - 1) / segment_;
    segment_ = std::min(segment_, packet_.length - head_);
    return true;
}

void WireFrames::finish_whole(u8* frame) const {
    if (checksum_ == 0) return;
    u8* const field = frame + checksum_;
    if (checksum_ - l4_ == sctp_checksum) return store_crc32c(field, frame + l4_, frame + packet_.length);
    // The field holds the sum of the pseudo header.
    store_checksum(field, byte_sum(frame + l4_, packet_.length - l4_));
}

// The segment's bytes.
u32 WireFrames::write_segment(u8* to, u32 index) const {
    constexpr u8 fin_psh = 0x09, cwr = 0x80;
    const u32 offset = index * segment_;
    const u32 payload = std::min(segment_, packet_.length - head_ - offset);
    const u32 length = head_ + payload;
    std::memcpy(to, packet_.data, head_);
    std::memcpy(to + head_, packet_.data + head_ + offset, payload);
    u8* const ip = to + l3_;
    u8* const transport = to + l4_;
    if (ipv4_) {
        store16(ip + 2, length - l3_);
        store16(ip + 4, load16(ip + 4) + index);
        std::memset(ip + 10, 0, sizeof(u16));
        store_checksum(ip + 10, byte_sum(ip, (ip[0] & 0xf) * 4U));
    } else {
        store16(ip + 4, length - l3_ - static_cast<u32>(sizeof(ipv6_header)));
    }
    if (tcp_) {
        store32(transport + 4, load32(transport + 4) + offset);
        if (index + 1 != count_) transport[13] &= static_cast<u8>(~fin_psh);
        if (index != 0) transport[13] &= static_cast<u8>(~cwr);
    } else {
        store16(transport + 4, length - l4_);
    }
    u8* const field = to + checksum_;
    std::memset(field, 0, sizeof(u16));
    const u64 addresses = ipv4_ ? byte_sum(ip + 12, 8) : byte_sum(ip + 8, 32);
    const be16 protocol = to_be16(tcp_ ? IPPROTO_TCP : IPPROTO_UDP);
    const be16 bytes = to_be16(static_cast<u16>(length - l4_));
    store_checksum(field, addresses + protocol.raw + bytes.raw + byte_sum(transport, length - l4_));
    return length;
}

void WireFrames::write(Frame& frame) {
    u32 length = packet_.length;
    if (several() || packet_.offload.kind != Offload::none) {
        length = write_segment(frame.data, next_);
    } else {
        std::memcpy(frame.data, packet_.data, length);
        finish_whole(frame.data);
    }
    ++next_;
    frame.end = frame.data + length;
    if (packet_.tag_type == 0) return;
    frame.data -= tag_bytes;
    std::memmove(frame.data, frame.data + tag_bytes, addresses_bytes);
    store16(frame.data + addresses_bytes, packet_.tag_type);
    store16(frame.data + addresses_bytes + 2, packet_.tag);
}

}  // namespace sluice
