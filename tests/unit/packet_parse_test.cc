// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>

#include "tests/support/packets.h"

namespace sluice {
namespace {

using namespace test;

// Every step in order, as the pipeline takes them.
u32 parse(Bytes& frame, headers& h) {
    struct packet p {
        frame.data(), frame.data() + frame.size(), nullptr
    };
    u32 word = parse_link(&p, &h);
    if (word == 0 && h.family != 0) word = parse_network(&p, &h);
    if (word == 0 && h.family != 0) word = parse_transport(&p, &h);
    return word;
}

u32 reason_of(Bytes frame) {
    headers h{};
    const u32 word = parse(frame, h);
    return verdict_of(word) == VERDICT_DROP ? detail_of(word) : u32{REASON_NONE};
}

Bytes with(Bytes packet, const std::function<void(Bytes&)>& change) {
    change(packet);
    return ethernet(packet);
}

// The same with the header's checksum made right again.
Bytes with_sum(Bytes packet, const std::function<void(Bytes&)>& change) {
    change(packet);
    put16(packet, 10, 0);
    put16(packet, 10, naive_checksum(Bytes(packet.begin(), packet.begin() + 20)));
    return ethernet(packet);
}

const Bytes plain = ipv4({}, udp());
const Bytes plain6 = ipv6({}, udp());

TEST(Parse, TakesFieldsOfIpv4Udp) {
    Bytes frame = ethernet(ipv4({.ttl = 9, .tos = 0xb8}, udp({.source_port = 1234, .destination_port = 53})));
    headers h{};
    ASSERT_EQ(parse(frame, h), 0u);
    EXPECT_EQ(h.family, 4);
    EXPECT_EQ(h.l3, 14);
    EXPECT_EQ(h.l4, 34);
    EXPECT_EQ(h.end, frame.size());
    EXPECT_EQ(h.ttl, 9);
    EXPECT_EQ(h.tos, 0xb8);
    EXPECT_EQ(h.protocol, PROTOCOL_UDP);
    EXPECT_EQ(h.source_port, 1234);
    EXPECT_EQ(h.destination_port, 53);
    EXPECT_EQ(h.flags, HEADER_PORTS | HEADER_UNICAST);
}

TEST(Parse, TakesTwoVlanTags) {
    Bytes frame = ethernet(plain, {.vlans = {0x2064, 7}});
    headers h{};
    ASSERT_EQ(parse(frame, h), 0u);
    EXPECT_EQ(h.tags, 2);
    EXPECT_EQ(h.vlan, 0x2064);
    EXPECT_EQ(h.vlan_inner, 7);
    EXPECT_EQ(h.l3, 22);
}

TEST(Parse, SkipsIpv4Options) {
    Bytes frame = ethernet(ipv4({.options = {1, 1, 1, 1, 7, 3, 4, 0}}, tcp()));
    headers h{};
    ASSERT_EQ(parse(frame, h), 0u);
    EXPECT_EQ(h.l4, 42);
    EXPECT_TRUE(h.flags & HEADER_IP_OPTIONS);
    EXPECT_EQ(h.tcp_flags, TCP_SYN);
}

TEST(Parse, WalksExtensionHeaders) {
    const Bytes chain = Bytes{60, 0, 1, 4, 0, 0, 0, 0} + Bytes{PROTOCOL_TCP, 1} + Bytes(14);
    Bytes frame = ethernet(ipv6({.extension = PROTOCOL_HOP_BY_HOP, .extensions = chain}, tcp()));
    headers h{};
    ASSERT_EQ(parse(frame, h), 0u);
    EXPECT_EQ(h.protocol, PROTOCOL_TCP);
    EXPECT_EQ(h.l4, 14 + 40 + 24);
    EXPECT_EQ(h.l3_next, PROTOCOL_HOP_BY_HOP);
}

TEST(Parse, KeepsPaddingApart) {
    Bytes frame = ethernet(plain) + Bytes(18);
    headers h{};
    ASSERT_EQ(parse(frame, h), 0u);
    EXPECT_EQ(h.end, 14 + plain.size());
}

TEST(Parse, NamesTheFragments) {
    const auto parts = fragments_of({.id = 77}, udp({.payload = std::string(100, 'x')}), 48);
    ASSERT_EQ(parts.size(), 3u);
    headers h{};
    Bytes first = ethernet(parts[0]), later = ethernet(parts[1]);
    ASSERT_EQ(parse(first, h), 0u);
    EXPECT_TRUE(h.flags & HEADER_FIRST_FRAGMENT);
    EXPECT_TRUE(h.flags & HEADER_PORTS);
    EXPECT_EQ(h.fragment_id, 77u);
    h = {};
    ASSERT_EQ(parse(later, h), 0u);
    EXPECT_TRUE(h.flags & HEADER_LATER_FRAGMENT);
    EXPECT_FALSE(h.flags & HEADER_PORTS);
    EXPECT_EQ(h.fragment_offset, 48);
}

TEST(Parse, ReadsThePacketInsideAnIcmpError) {
    const Bytes inside = ipv4({.source = "10.0.1.11", .destination = "203.0.113.7"},
                              udp({.source_port = 5353, .destination_port = 40000}));
    Bytes frame = ethernet(ipv4({}, icmp(PROTOCOL_ICMP, ICMP_UNREACHABLE, 3, 0, 0, inside)));
    headers h{};
    ASSERT_EQ(parse(frame, h), 0u);
    EXPECT_TRUE(h.flags & HEADER_ICMP_ERROR);
    EXPECT_EQ(h.inner_protocol, PROTOCOL_UDP);
    EXPECT_EQ(h.inner_source_port, 5353);
    EXPECT_EQ(h.inner_destination_port, 40000);
}

TEST(Parse, LeavesAnErrorWithoutAReadableQuoteAsPlainIcmp) {
    Bytes frame = ethernet(ipv4({}, icmp(PROTOCOL_ICMP, ICMP_UNREACHABLE, 3, 0, 0, Bytes(4))));
    headers h{};
    ASSERT_EQ(parse(frame, h), 0u);
    EXPECT_FALSE(h.flags & HEADER_ICMP_ERROR);
}

struct Malformed {
    const char* name;
    u32 reason;
    Bytes frame;
};

class MalformedPacket : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedPacket, IsDroppedForItsReason) { EXPECT_EQ(reason_of(GetParam().frame), GetParam().reason); }

Bytes cut(Bytes frame, size_t length) {
    frame.resize(length);
    return frame;
}

Bytes chain_of(size_t count) {
    Bytes chain;
    for (size_t i = 0; i < count; i++)
        chain =
            chain + Bytes{i + 1 < count ? u8{PROTOCOL_DESTINATION} : u8{PROTOCOL_UDP}, 0, 1, 4, 0, 0, 0, 0};
    return chain;
}

const Ipv4Fields first_fragment{.fragment = IPV4_MORE_FRAGMENTS};

const Malformed malformed[] = {
    {"EmptyFrame", REASON_TRUNCATED, Bytes(13)},
    {"CutInTag", REASON_TRUNCATED, cut(ethernet(plain, {.vlans = {5}}), 17)},
    {"CutInIpv4", REASON_TRUNCATED, cut(ethernet(plain), 33)},
    {"Ipv4Version", REASON_IPV4_VERSION, with_sum(plain, [](Bytes& p) { p[0] = 0x55; })},
    {"Ipv4HeaderShort", REASON_IPV4_HEADER_LENGTH, with_sum(plain, [](Bytes& p) { p[0] = 0x44; })},
    {"Ipv4HeaderBeyond", REASON_IPV4_HEADER_LENGTH, with_sum(plain, [](Bytes& p) { p[0] = 0x4f; })},
    {"Ipv4TotalShort", REASON_IPV4_TOTAL_LENGTH, with_sum(plain, [](Bytes& p) { put16(p, 2, 19); })},
    {"Ipv4TotalBeyond", REASON_IPV4_TOTAL_LENGTH, with_sum(plain, [](Bytes& p) { put16(p, 2, 37); })},
    {"Ipv4Checksum", REASON_IPV4_CHECKSUM, with(plain, [](Bytes& p) { p[11] ^= 1; })},
    {"Ipv4OptionsChecksum", REASON_IPV4_CHECKSUM,
     with(ipv4({.options = Bytes(40, 1)}, udp()), [](Bytes& p) { p[59] = 0; })},
    {"Ipv6Version", REASON_IPV6_VERSION,
     [] {
         Bytes frame = ethernet(plain6);
         frame[14] = 0x50;
         return frame;
     }()},
    {"Ipv6Payload", REASON_IPV6_PAYLOAD_LENGTH, with(plain6, [](Bytes& p) { put16(p, 4, 17); })},
    {"Ipv6Cut", REASON_TRUNCATED, cut(ethernet(plain6), 53)},
    {"Ipv6Chain", REASON_IPV6_EXTENSION_CHAIN,
     ethernet(ipv6({.extension = PROTOCOL_DESTINATION, .extensions = chain_of(9)}, udp()))},
    {"Ipv6ExtensionBeyond", REASON_TRUNCATED,
     ethernet(ipv6({.extension = PROTOCOL_DESTINATION, .extensions = {PROTOCOL_UDP, 9, 1, 4, 0, 0, 0, 0}},
                   udp()))},
    {"TcpCut", REASON_TRUNCATED, ethernet(ipv4({}, {PROTOCOL_TCP, Bytes(19)}))},
    {"TcpOffsetShort", REASON_TCP_DATA_OFFSET, with(ipv4({}, tcp()), [](Bytes& p) { p[32] = 0x40; })},
    {"TcpOffsetBeyond", REASON_TCP_DATA_OFFSET, with(ipv4({}, tcp()), [](Bytes& p) { p[32] = 0x60; })},
    {"UdpCut", REASON_TRUNCATED, ethernet(ipv4({}, {PROTOCOL_UDP, Bytes(7)}))},
    {"UdpShort", REASON_UDP_LENGTH, with(plain, [](Bytes& p) { put16(p, 24, 7); })},
    {"UdpBeyond", REASON_UDP_LENGTH, with(plain, [](Bytes& p) { put16(p, 24, 17); })},
    {"IcmpCut", REASON_TRUNCATED, ethernet(ipv4({}, {PROTOCOL_ICMP, Bytes(7)}))},
    {"SctpCut", REASON_TRUNCATED, ethernet(ipv4({}, {PROTOCOL_SCTP, Bytes(11)}))},
    {"TinyTcpFragment", REASON_FRAGMENT_TINY, ethernet(ipv4(first_fragment, {PROTOCOL_TCP, Bytes(16)}))},
    {"TinyUdpFragment", REASON_FRAGMENT_TINY, ethernet(ipv4(first_fragment, {PROTOCOL_UDP, Bytes(4)}))},
    {"FragmentOverflow", REASON_FRAGMENT_OVERFLOW,
     ethernet(ipv4({.fragment = 0x1fff}, {PROTOCOL_UDP, Bytes(8)}))},
};

INSTANTIATE_TEST_SUITE_P(Kinds, MalformedPacket, testing::ValuesIn(malformed),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Parse, EightExtensionHeadersAreTheBound) {
    EXPECT_EQ(
        reason_of(ethernet(ipv6({.extension = PROTOCOL_DESTINATION, .extensions = chain_of(8)}, udp()))),
        u32{REASON_NONE});
}

TEST(Parse, ALastFragmentMayEndAt65535) {
    EXPECT_EQ(reason_of(ethernet(ipv4({.fragment = 0x1fff}, {PROTOCOL_UDP, Bytes(7)}))), u32{REASON_NONE});
}

// Whatever the bytes: an answer, and no access beyond them (the address sanitizer watches).
TEST(Parse, BearsAnyPrefixAndAnyFlippedByte) {
    const Bytes inside = ipv4({}, udp());
    const Bytes seeds[] = {ethernet(ipv4({.options = Bytes(8, 1)}, tcp()), {.vlans = {1, 2}}),
                           ethernet(ipv6({.extension = 60, .extensions = chain_of(3)}, udp())),
                           ethernet(ipv4({}, icmp(PROTOCOL_ICMP, 3, 4, 0, 1400, inside)))};
    u32 drops = 0;
    for (const Bytes& seed : seeds) {
        for (size_t length = 0; length < seed.size(); length++)
            drops += reason_of(cut(seed, length)) != REASON_NONE;
        for (size_t at = 0; at < seed.size(); at++) {
            for (int bit = 0; bit < 8; bit++) {
                Bytes changed = seed;
                changed[at] ^= static_cast<u8>(1 << bit);
                drops += reason_of(changed) != REASON_NONE;
            }
        }
    }
    EXPECT_GT(drops, 100u);
}

}  // namespace
}  // namespace sluice
