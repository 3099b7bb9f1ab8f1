// SPDX-License-Identifier: Apache-2.0
//
// What the kernel joined or left to hardware, made into frames again.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "dataplane/io/packet_socket/wire_frames.h"
#include "dataplane/io/sums.h"

namespace sluice {
namespace {

using Bytes = std::vector<u8>;

void put16(Bytes& bytes, size_t at, u32 value) {
    bytes[at] = static_cast<u8>(value >> 8);
    bytes[at + 1] = static_cast<u8>(value);
}

u32 get16(const Bytes& bytes, size_t at) { return static_cast<u32>(bytes[at] << 8 | bytes[at + 1]); }
u32 get32(const Bytes& bytes, size_t at) { return get16(bytes, at) << 16 | get16(bytes, at + 2); }

constexpr size_t l3 = 14;

struct Packet {
    Bytes bytes;
    Offload offload;
    u16 tag_type = 0, tag = 0;

    std::vector<Bytes> frames() const {
        KernelPacket packet;
        packet.data = bytes.data();
        packet.length = static_cast<u32>(bytes.size());
        packet.offload = offload;
        packet.tag_type = tag_type;
        packet.tag = tag;
        WireFrames wire(packet);
        std::vector<Bytes> out;
        Bytes room(WireFrames::headroom + 70000);
        while (wire.left() != 0) {
            Frame frame;
            frame.buffer = room.data();
            frame.data = room.data() + WireFrames::headroom;
            wire.write(frame);
            out.emplace_back(frame.data, frame.end);
            EXPECT_LE(out.back().size(), wire.longest());
        }
        return out;
    }
};

// With the transport checksum as a stack leaves it: the sum of the pseudo header.
Packet packet(bool ipv4, bool tcp, size_t payload, u16 segment) {
    const size_t l4 = l3 + (ipv4 ? 20 : 40);
    const size_t head = l4 + (tcp ? 20 : 8);
    Packet out;
    Bytes& b = out.bytes;
    b.resize(head + payload);
    std::iota(b.begin() + static_cast<long>(head), b.end(), u8{1});
    std::iota(b.begin(), b.begin() + 12, u8{2});
    put16(b, 12, ipv4 ? 0x0800 : 0x86dd);
    b[l3] = ipv4 ? 0x45 : 0x60;
    put16(b, l3 + (ipv4 ? 2 : 4), static_cast<u32>(ipv4 ? b.size() - l3 : b.size() - l4));
    if (ipv4) put16(b, l3 + 4, 0xfffe);  // its next one but one wraps
    b[l3 + (ipv4 ? 8 : 7)] = 64;
    b[l3 + (ipv4 ? 9 : 6)] = tcp ? 6 : 17;
    for (size_t i = l3 + (ipv4 ? 12 : 8); i < l4; ++i) b[i] = static_cast<u8>(i * 7);
    if (ipv4) {
        const u16 sum = static_cast<u16>(~sum_fold(byte_sum(&b[l3], 20)));
        std::memcpy(&b[l3 + 10], &sum, 2);
    }
    put16(b, l4, 4242);
    put16(b, l4 + 2, 80);
    if (tcp) {
        put16(b, l4 + 6, 1000);
        b[l4 + 12] = 0x50;
        b[l4 + 13] = 0x99;  // CWR, ACK, PSH, FIN
    } else {
        put16(b, l4 + 4, static_cast<u32>(8 + payload));
    }
    out.offload.flags = Offload::needs_checksum;
    out.offload.sum_from = static_cast<u16>(l4);
    out.offload.sum_at = tcp ? 16 : 6;
    out.offload.segment = segment;
    if (segment != 0) out.offload.kind = !tcp ? Offload::udp : ipv4 ? Offload::tcp_ipv4 : Offload::tcp_ipv6;
    const size_t addresses = l3 + (ipv4 ? 12 : 8);
    Bytes pseudo(b.begin() + static_cast<long>(addresses), b.begin() + static_cast<long>(l4));
    pseudo.insert(pseudo.end(), {0, static_cast<u8>(tcp ? 6 : 17), 0, 0});
    put16(pseudo, pseudo.size() - 2, static_cast<u32>(b.size() - l4));
    const u16 sum = sum_fold(byte_sum(pseudo.data(), pseudo.size()));
    std::memcpy(&b[l4 + out.offload.sum_at], &sum, 2);
    return out;
}

void expect_sound(const Bytes& frame, bool ipv4, bool tcp, size_t shift = 0) {
    const size_t ip = l3 + shift;
    const size_t l4 = ip + (ipv4 ? 20 : 40);
    if (ipv4) {
        EXPECT_EQ(sum_fold(byte_sum(&frame[ip], 20)), 0xffff) << "header checksum";
        EXPECT_EQ(get16(frame, ip + 2), frame.size() - ip);
    } else {
        EXPECT_EQ(get16(frame, ip + 4), frame.size() - l4);
    }
    Bytes summed(frame.begin() + static_cast<long>(ip + (ipv4 ? 12 : 8)), frame.end());
    summed.insert(summed.end(), summed.size() % 2, 0);
    summed.insert(summed.end(), {0, static_cast<u8>(tcp ? 6 : 17), 0, 0});
    put16(summed, summed.size() - 2, static_cast<u32>(frame.size() - l4));
    EXPECT_EQ(sum_fold(byte_sum(summed.data(), summed.size())), 0xffff) << "transport checksum";
    EXPECT_NE(get16(frame, l4 + (tcp ? 16 : 6)), 0u);
}

class Kinds : public testing::TestWithParam<std::tuple<bool, bool>> {};
INSTANTIATE_TEST_SUITE_P(FamiliesAndProtocols, Kinds,
                         testing::Combine(testing::Values(true, false), testing::Values(true, false)));

TEST_P(Kinds, AnUnfinishedChecksumIsFinished) {
    const auto [ipv4, tcp] = GetParam();
    for (const size_t payload : {0UL, 1UL, 18UL, 1001UL}) {
        const auto frames = packet(ipv4, tcp, payload, 0).frames();
        ASSERT_EQ(frames.size(), 1u);
        expect_sound(frames[0], ipv4, tcp);
    }
}

TEST_P(Kinds, SegmentsBecomeFramesWithHeadersOfTheirOwn) {
    const auto [ipv4, tcp] = GetParam();
    const Packet whole = packet(ipv4, tcp, 3001, 1000);
    const size_t l4 = l3 + (ipv4 ? 20 : 40);
    const size_t head = l4 + (tcp ? 20 : 8);
    const auto frames = whole.frames();
    ASSERT_EQ(frames.size(), 4u);
    Bytes payload;
    for (size_t i = 0; i < frames.size(); ++i) {
        const Bytes& frame = frames[i];
        expect_sound(frame, ipv4, tcp);
        payload.insert(payload.end(), frame.begin() + static_cast<long>(head), frame.end());
        if (ipv4) {
            EXPECT_EQ(get16(frame, l3 + 4), (0xfffe + i) & 0xffff);
        }
        if (tcp) {
            EXPECT_EQ(get32(frame, l4 + 4), 1000 + i * 1000);
            EXPECT_EQ(frame[l4 + 13], i == 0 ? 0x90 : i == 3 ? 0x19 : 0x10);
        } else {
            EXPECT_EQ(get16(frame, l4 + 4), frame.size() - l4);
        }
    }
    EXPECT_EQ(payload, Bytes(whole.bytes.begin() + static_cast<long>(head), whole.bytes.end()));
    EXPECT_EQ(frames.back().size(), head + 1);
}

TEST(WireFrames, ATagIsPutBackBeforeTheType) {
    for (const u16 segment : {0, 1000}) {
        Packet tagged = packet(true, true, 1500, segment);
        tagged.tag_type = 0x88a8;
        tagged.tag = 0x6007;
        for (const Bytes& frame : tagged.frames()) {
            EXPECT_TRUE(std::equal(frame.begin(), frame.begin() + 12, tagged.bytes.begin()));
            EXPECT_EQ(get16(frame, 12), 0x88a8u);
            EXPECT_EQ(get16(frame, 14), 0x6007u);
            EXPECT_EQ(get16(frame, 16), 0x0800u);
            expect_sound(frame, true, true, 4);
        }
    }
}

TEST(WireFrames, AFrameWithoutOffloadsStaysAsItIs) {
    Packet plain = packet(true, false, 100, 0);
    plain.offload = {};
    EXPECT_EQ(plain.frames(), std::vector<Bytes>{plain.bytes});
}

// RFC 9260, Appendix A.
TEST(WireFrames, SctpGetsItsCrc) {
    Packet sctp = packet(true, true, 9, 0);
    const size_t l4 = l3 + 20;
    sctp.bytes.resize(l4 + 12 + 9);
    sctp.offload.sum_at = 8;
    const auto frames = sctp.frames();
    ASSERT_EQ(frames.size(), 1u);
    u32 crc = ~0U;
    for (size_t i = l4; i < frames[0].size(); ++i)
        crc = crc32c_byte(crc, i >= l4 + 8 && i < l4 + 12 ? u8{0} : frames[0][i]);
    crc = ~crc;
    EXPECT_EQ(std::memcmp(&frames[0][l4 + 8], &crc, 4), 0);
    u32 known = ~0U;
    for (const char each : std::string("123456789")) known = crc32c_byte(known, static_cast<u8>(each));
    EXPECT_EQ(~known, 0xe3069283u);
}

TEST(WireFrames, WhatMakesNoSenseHasNoFrames) {
    const auto broken = [](auto change) {
        Packet packet_ = packet(true, true, 3000, 1000);
        change(packet_);
        return packet_.frames().size();
    };
    EXPECT_EQ(broken([](Packet&) {}), 3u);
    EXPECT_EQ(broken([](Packet& p) { p.offload.kind = 3; }), 0u) << "UDP fragments";
    EXPECT_EQ(broken([](Packet& p) { p.offload.segment = 0; }), 0u);
    EXPECT_EQ(broken([](Packet& p) { p.offload.sum_from = 4; }), 0u);
    EXPECT_EQ(broken([](Packet& p) { p.offload.sum_from = 60000; }), 0u);
    EXPECT_EQ(broken([](Packet& p) { p.offload.sum_at = 60000; }), 0u);
    EXPECT_EQ(broken([](Packet& p) { p.offload.flags = 0; }), 0u);
    EXPECT_EQ(broken([](Packet& p) { p.bytes[l3 + 20 + 12] = 0x10; }), 0u) << "data offset";
    EXPECT_EQ(broken([](Packet& p) { p.bytes[l3 + 20 + 12] = 0xf0, p.bytes.resize(l3 + 20 + 40); }), 0u);
    EXPECT_EQ(broken([](Packet& p) { p.bytes.resize(l3 + 21); }), 0u);
}

}  // namespace
}  // namespace sluice
