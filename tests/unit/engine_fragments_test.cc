// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <random>

#include "tests/unit/engine_sample.h"

namespace sluice {
namespace {

using namespace test;

std::vector<Bytes> framed(const std::vector<Bytes>& packets) {
    std::vector<Bytes> out;
    for (const Bytes& packet : packets) out.push_back(ethernet(packet));
    return out;
}

std::vector<Bytes> datagram(u16 id, const std::string& destination = "192.0.2.10", size_t length = 4000,
                            size_t size = 1472) {
    return framed(fragments_of({.destination = destination, .id = id},
                               udp({.payload = std::string(length, 'd')}), size));
}

// The UDP datagram that a receiver puts together, checksum verified; "" when it cannot.
std::string reassembled(const std::vector<Outcome>& outcomes, size_t outer = 14) {
    Bytes whole;
    Bytes header;
    for (const Outcome& outcome : outcomes) {
        const Bytes packet = packet_of(outcome.frame, outer);
        const size_t at = (get16(packet, 6) & 0x1fffu) * 8;
        if (at == 0) header.assign(packet.begin(), packet.begin() + 20);
        whole.resize(std::max(whole.size(), at + packet.size() - 20));
        std::copy(packet.begin() + 20, packet.end(), whole.begin() + static_cast<long>(at));
    }
    if (header.empty()) return "";
    put16(header, 2, static_cast<u16>(20 + whole.size()));
    put16(header, 6, 0);
    put16(header, 10, 0);
    put16(header, 10, naive_checksum(header));
    if (!checksum_faults(header + whole).empty()) return "";
    return {whole.begin() + 8, whole.end()};
}

class FragmentOrder : public testing::TestWithParam<std::vector<size_t>> {};

TEST_P(FragmentOrder, ADatagramArrivesWholeThroughNat) {
    for (const bool together : {true, false}) {
        Node node(sample());
        const std::vector<Bytes> parts = datagram(7);
        ASSERT_EQ(parts.size(), 3u);
        std::vector<Bytes> frames;
        for (const size_t part : GetParam()) frames.push_back(parts[part]);
        std::vector<Outcome> outcomes;
        if (together) outcomes = node.run(frames);
        for (size_t i = 0; !together && i < frames.size(); i++) {
            for (Outcome& outcome : node.run({frames[i]})) outcomes.push_back(std::move(outcome));
        }
        ASSERT_EQ(outcomes.size(), 3u);
        for (const Outcome& outcome : outcomes) {
            ASSERT_EQ(outcome.verdict(), VERDICT_FORWARD);
            EXPECT_EQ(dotted(outcome.frame, 30), "10.0.1.12");
        }
        EXPECT_EQ(reassembled(outcomes), std::string(4000, 'd'));
        EXPECT_EQ(node.engine().waiting(), 0u);
        expect_books_close(node);
    }
}

INSTANTIATE_TEST_SUITE_P(Orders, FragmentOrder,
                         testing::Values(std::vector<size_t>{0, 1, 2}, std::vector<size_t>{0, 2, 1},
                                         std::vector<size_t>{1, 0, 2}, std::vector<size_t>{1, 2, 0},
                                         std::vector<size_t>{2, 1, 0}, std::vector<size_t>{2, 0, 1}));

TEST(EngineFragments, ThoseThatWaitedLeaveInTheOrderTheyCame) {
    Node node(sample());
    const std::vector<Bytes> parts = datagram(7, "192.0.2.10", 10000);
    ASSERT_EQ(parts.size(), 7u);
    EXPECT_TRUE(node.run({parts[4], parts[2], parts[6], parts[1]}).empty());
    EXPECT_EQ(node.engine().waiting(), 4u);
    expect_books_close(node);
    const std::vector<Outcome> released = node.run({parts[0]});
    ASSERT_EQ(released.size(), 5u);
    const u32 order[] = {4, 0, 1, 2, 3};
    for (size_t i = 0; i < 5; i++) EXPECT_EQ(released[i].number, order[i]);
    expect_books_close(node);
}

TEST(EngineFragments, DsrEncapsulatesEachOfThem) {
    Node node(sample());
    const std::vector<Bytes> parts = datagram(9, "192.0.2.12", 4000, 1400);
    const std::vector<Outcome> outcomes = node.run({parts[2], parts[0], parts[1]});
    ASSERT_EQ(outcomes.size(), 3u);
    for (const Outcome& outcome : outcomes) EXPECT_EQ(Ipv4View(outcome.frame).destination, "10.0.1.14");
    EXPECT_EQ(reassembled(outcomes, 34), std::string(4000, 'd'));
}

TEST(EngineFragments, Ipv6FragmentsFollowTheirFirst) {
    Node node(sample());
    Transport whole = udp({.payload = std::string(64, 'x')});
    fill_checksum(whole.bytes, whole.checksum_at, address_bytes("2001:db8:7::7"),
                  address_bytes("2001:db8::10"), PROTOCOL_UDP);
    const Bytes head(whole.bytes.begin(), whole.bytes.begin() + 32),
        tail(whole.bytes.begin() + 32, whole.bytes.end());
    const auto part = [](u16 offset_flags, const Bytes& content) {
        const Bytes extension{
            PROTOCOL_UDP, 0, static_cast<u8>(offset_flags >> 8), static_cast<u8>(offset_flags), 0, 0, 0, 5};
        return ethernet(
            ipv6({.extension = PROTOCOL_FRAGMENT, .extensions = extension}, {PROTOCOL_UDP, content}));
    };
    EXPECT_TRUE(node.run({part(32, tail)}).empty());
    const std::vector<Outcome> outcomes = node.run({part(1, head)});
    ASSERT_EQ(outcomes.size(), 2u);
    for (const Outcome& outcome : outcomes) {
        ASSERT_EQ(outcome.verdict(), VERDICT_FORWARD);
        EXPECT_EQ(Bytes(outcome.frame.begin() + 38, outcome.frame.begin() + 54),
                  address_bytes("2001:db8:1::12"));
    }
    EXPECT_EQ(get16(outcomes[0].frame, 14 + 48 + 2), 5353);
    EXPECT_EQ(packet_of(outcomes[1].frame, 14 + 48), tail);
}

TEST(EngineFragments, OneWithoutItsFirstIsDroppedAfterASecond) {
    Node node(sample());
    EXPECT_TRUE(node.run({datagram(3)[1]}).empty());
    node.now_ns += 999'000'000;
    EXPECT_TRUE(node.expire().empty());
    node.now_ns += 2'000'000;
    const std::vector<Outcome> outcomes = node.expire();
    ASSERT_EQ(outcomes.size(), 1u);
    EXPECT_EQ(outcomes[0].decision.word, drop(REASON_FRAGMENT_TIMEOUT));
    EXPECT_EQ(node.port(1).drops[REASON_FRAGMENT_TIMEOUT], 1u);
    expect_books_close(node);
}

TEST(EngineFragments, PortsAreForgottenAfterTheirTime) {
    Node node(sample());
    const std::vector<Bytes> parts = datagram(3);
    EXPECT_EQ(node.run({parts[0]}).size(), 1u);
    node.now_ns += 31 * Node::second;
    EXPECT_TRUE(node.run({parts[1]}).empty());
}

TEST(EngineFragments, ADatagramMayHaveSixteenWaiting) {
    Node node(sample());
    const std::vector<Bytes> parts = datagram(3, "192.0.2.10", 30000);
    std::vector<Bytes> later(parts.begin() + 1, parts.begin() + 18);
    const std::vector<Outcome> outcomes = node.run(later);
    ASSERT_EQ(outcomes.size(), 1u);
    EXPECT_EQ(outcomes[0].decision.word, drop(REASON_FRAGMENT_TABLE_FULL));
    EXPECT_EQ(node.engine().waiting(), 16u);
    expect_books_close(node);
}

// A flood of fragments, first ones and later ones, of datagrams that never become whole.
TEST(EngineFragments, AFloodIsBoundedAndTheBooksClose) {
    Node node(sample());
    std::mt19937 random(5);
    u64 finished = 0;
    for (u32 step = 0; step < 3000; step++) {
        std::vector<Bytes> frames;
        for (int i = 0; i < 8; i++) {
            const std::vector<Bytes> parts = datagram(static_cast<u16>(random()), "192.0.2.10", 2000);
            frames.push_back(parts[random() % 2]);
        }
        finished += node.run(frames).size();
        ASSERT_LE(node.engine().waiting(), 256u);
        node.now_ns += Node::second / 1000;
    }
    expect_books_close(node);
    EXPECT_GT(node.port(1).drops[REASON_FRAGMENT_TABLE_FULL], 1000u);
    finished += node.flush().size();
    EXPECT_EQ(finished, 24000u);
    EXPECT_EQ(node.engine().waiting(), 0u);
    expect_books_close(node);
    EXPECT_EQ(node.run(datagram(1)).size(), 3u);  // and the next datagram is served
}

TEST(EngineFragments, APacketPassedUnclaimedIsUntouched) {
    Node node(sample());
    const std::vector<Bytes> parts = datagram(5, "10.0.0.254");  // the node's own address
    const std::vector<Outcome> outcomes = node.run({parts[1], parts[0]});
    ASSERT_EQ(outcomes.size(), 2u);
    EXPECT_EQ(outcomes[0].verdict(), VERDICT_PASS);
    for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.frame, parts[outcome.number == 0 ? 1 : 0]);
}

}  // namespace
}  // namespace sluice
