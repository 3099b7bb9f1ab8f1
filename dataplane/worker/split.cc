// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/split.h"

#include <cstring>

#include "dataplane/packet/checksum.h"

namespace sluice {

namespace {

constexpr u32 fragment_header = sizeof(ipv6_fragment_header);

u32 link_length(const u8* frame) {
    u32 at = 2 * 6;
    for (int tags = 0; tags < 2; tags++) {
        const u32 type = u32{frame[at]} << 8 | frame[at + 1];
        if (type != ETHER_VLAN && type != ETHER_QINQ) break;
        at += sizeof(vlan_tag);
    }
    return at + 2;
}

}  // namespace

Split::Split(const Frame& frame, u32 mtu, u32 identification) : l3_(link_length(frame.data)) {
    const u8* const ip = frame.data + l3_;
    const bool ipv4 = *ip >> 4 == 4;
    const u32 own = ipv4 ? sizeof(ipv4_header) : sizeof(ipv6_header);
    std::memcpy(head_.data(), frame.data, l3_ + own);
    payload_ = ip + own;
    if (ipv4)
        begin_ipv4(mtu, identification);
    else
        begin_ipv6(mtu, identification);
    if (unit_ == 0 || frame.data - frame.buffer < static_cast<std::ptrdiff_t>(added_)) return;
    const u32 wanted = (payload_length_ + unit_ - 1) / unit_;
    count_ = wanted <= most ? wanted : 0;
}

void Split::begin_ipv4(u32 mtu, u32 identification) {
    ipv4_header ip;
    std::memcpy(&ip, head_.data() + l3_, sizeof ip);
    head_length_ = l3_ + u32{sizeof ip};
    payload_length_ = from_be16(ip.total_length) - u32{sizeof ip};
    unit_ = mtu > sizeof ip ? (mtu - u32{sizeof ip}) & ~7u : 0;
    const u32 field = from_be16(ip.fragment);
    first_ = (field & IPV4_OFFSET_MASK) * 8;
    more_ = (field & IPV4_MORE_FRAGMENTS) != 0;
    identification_ = from_be16(ip.id);
    if (identification_ == 0 && first_ == 0 && !more_) identification_ = identification & 0xffff;
}

void Split::begin_ipv6(u32 mtu, u32 identification) {
    ipv6_header ip;
    std::memcpy(&ip, head_.data() + l3_, sizeof ip);
    head_length_ = l3_ + u32{sizeof ip} + fragment_header;
    added_ = fragment_header;
    payload_length_ = from_be16(ip.payload_length);
    unit_ = mtu > sizeof ip + fragment_header ? (mtu - u32{sizeof ip} - fragment_header) & ~7u : 0;
    next_ = ip.next_header;
    identification_ = identification;
}

void Split::head_ipv4(u32 index, u8* head) const {
    ipv4_header ip;
    std::memcpy(&ip, head + l3_, sizeof ip);
    const u32 offset = (first_ + index * unit_) / 8;
    const bool more = more_ || index + 1 < count_;
    ip.total_length = to_be16(static_cast<u16>(length_of(index) + sizeof ip));
    ip.id = to_be16(static_cast<u16>(identification_));
    ip.fragment = to_be16(static_cast<u16>(offset | (more ? u32{IPV4_MORE_FRAGMENTS} : 0)));
    ip.checksum = 0;
    u64 sum = 0;
    for (u32 at = 0; at < sizeof ip; at += 2) {
        u16 word;
        std::memcpy(&word, reinterpret_cast<const u8*>(&ip) + at, sizeof word);
        sum += word;
    }
    ip.checksum = static_cast<u16>(~sum_fold(sum));
    std::memcpy(head + l3_, &ip, sizeof ip);
}

void Split::head_ipv6(u32 index, u8* head) const {
    ipv6_header ip;
    std::memcpy(&ip, head + l3_, sizeof ip);
    ip.payload_length = to_be16(static_cast<u16>(length_of(index) + fragment_header));
    ip.next_header = PROTOCOL_FRAGMENT;
    std::memcpy(head + l3_, &ip, sizeof ip);
    ipv6_fragment_header fragment{};
    fragment.next_header = next_;
    fragment.offset_flags = to_be16(static_cast<u16>(index * unit_ | (index + 1 < count_ ? 1 : 0)));
    fragment.id = to_be32(identification_);
    std::memcpy(head + l3_ + sizeof ip, &fragment, sizeof fragment);
}

void Split::head(u32 index, u8* to) const {
    std::memcpy(to, head_.data(), head_length_);
    if (added_ == 0)
        head_ipv4(index, to);
    else
        head_ipv6(index, to);
}

void Split::write(u32 index, Frame& piece) const {
    head(index, piece.data);
    std::memcpy(piece.data + head_length_, payload_ + index * unit_, length_of(index));
    piece.end = piece.data + head_length_ + length_of(index);
}

void Split::cut(Frame& frame) const {
    frame.data -= added_;
    head(0, frame.data);
    frame.end = frame.data + head_length_ + length_of(0);
}

}  // namespace sluice
