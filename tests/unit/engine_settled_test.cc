// SPDX-License-Identifier: Apache-2.0
//
// The short way (dataplane/pipeline/settled.h) does what the long way does: the same traffic through two
// nodes, one of which knows the long way only.
#include <random>

#include "tests/unit/engine_sample.h"

namespace sluice {
namespace {

using namespace test;

class Traffic {
public:
    explicit Traffic(u32 seed) : random_(seed) {}

    u32 below(u32 bound) { return random_() % bound; }

    Bytes next() {
        Bytes frame = below(3) == 0 ? reply() : request();
        if (below(3) == 0) frame = below(3) == 0 ? reply6() : request6();
        if (below(12) == 0) frame.at(below(static_cast<u32>(frame.size()))) ^= static_cast<u8>(1 << below(8));
        if (below(40) == 0) frame.resize(14 + below(static_cast<u32>(frame.size()) - 14));
        if (below(20) == 0) frame.resize(frame.size() + below(9));  // padding
        if (below(30) == 0) claim_length(frame, static_cast<u16>(below(64)));
        return frame;
    }

    // A frame that left: a fullnat service's tells the port that its replies come back to.
    void left(const Bytes& frame) {
        constexpr std::array<size_t, 2> transports{14 + sizeof(ipv4_header), 14 + sizeof(ipv6_header)};
        if (frame.size() < SETTLED_IPV6_BYTES) return;
        const size_t l4 = transports.at(get16(frame, 12) == ETHER_IPV6);
        if (get16(frame, l4 + 2) == 80) nat_ports_.at(below(nat_ports_.size())) = get16(frame, l4);
    }

private:
    u16 nat_port() { return nat_ports_.at(below(nat_ports_.size())); }

    // An IPv4 header of a right checksum that says the packet has LENGTH bytes.
    static void claim_length(Bytes& frame, u16 length) {
        constexpr size_t l3 = 14;
        if (frame.size() < l3 + sizeof(ipv4_header)) return;
        put16(frame, l3 + 2, length);
        put16(frame, l3 + 10, 0);
        const auto at = frame.begin() + l3;
        put16(frame, l3 + 10, naive_checksum(Bytes(at, at + sizeof(ipv4_header))));
    }

    std::string payload() { return std::string(below(30) == 0 ? 1370 + below(60) : below(40), 'x'); }
    u8 tcp_flags() { return std::array<u8, 12>{2, 16, 16, 16, 16, 16, 24, 24, 16, 17, 4, 18}.at(below(12)); }
    u8 ttl() { return static_cast<u8>(below(25) == 0 ? below(3) : 64); }
    std::string client() { return fmt::format("203.0.113.{}", below(6)); }
    u16 port() { return static_cast<u16>(40000 + below(6)); }

    Transport transport(bool stream, u16 from, u16 to) {
        if (stream)
            return tcp(
                {.source_port = from, .destination_port = to, .flags = tcp_flags(), .payload = payload()});
        return udp(
            {.source_port = from, .destination_port = to, .payload = payload(), .checksum = below(4) != 0});
    }

    Bytes framed(const std::string& from, const std::string& to, const Transport& inside) {
        Ipv4Fields fields{.source = from, .destination = to, .ttl = ttl()};
        EthernetFields link;
        if (below(25) == 0) link.vlans = {200};
        return ethernet(ipv4(fields, inside), link);
    }

    Bytes request() {
        struct Target {
            const char* address;
            u16 port;
            bool stream;
        };
        static constexpr std::array<Target, 10> targets{{{"192.0.2.10", 80, true},
                                                         {"192.0.2.10", 80, true},
                                                         {"192.0.2.10", 53, false},
                                                         {"192.0.2.11", 80, true},
                                                         {"192.0.2.12", 7000, false},
                                                         {"192.0.2.13", 7000, false},
                                                         {"192.0.2.14", 7000, false},
                                                         {"192.0.2.16", 53, false},
                                                         {"10.50.8.1", 9000, false},
                                                         {"198.51.100.1", 80, true}}};
        const Target& to = targets.at(below(targets.size()));
        return framed(client(), to.address, transport(to.stream, port(), to.port));
    }

    Bytes reply() {
        switch (below(5)) {
            case 4: return framed("10.0.1.13", "10.0.0.254", transport(true, 80, nat_port()));
            case 0: return framed("10.0.1.11", client(), transport(true, 8080, port()));
            case 1: return framed("10.0.1.12", client(), transport(false, 5353, port()));
            case 2: return framed("10.9.0.1", client(), transport(false, 53, port()));
            default: return framed("10.50.8.1", client(), transport(false, 9000, port()));
        }
    }

    Bytes framed6(const std::string& from, const std::string& to, const Transport& inside) {
        Ipv6Fields fields{.source = from, .destination = to, .hop_limit = ttl()};
        return ethernet(ipv6(fields, inside));
    }

    std::string client6() { return fmt::format("2001:db8:7::{}", 1 + below(6)); }

    Bytes request6() {
        switch (below(4)) {
            case 3: return framed6(client6(), "2001:db8::11", transport(true, port(), 80));
            case 0: return framed6(client6(), "2001:db8::10", transport(true, port(), 80));
            case 1: return framed6(client6(), "2001:db8::10", transport(false, port(), 53));
            default: return framed6(client6(), "2001:db8:50::1", transport(false, port(), 9000));
        }
    }

    Bytes reply6() {
        switch (below(4)) {
            case 3: return framed6("2001:db8:1::13", "2001:db8:0:1::fe", transport(true, 80, nat_port()));
            case 0: return framed6("2001:db8:1::11", client6(), transport(true, 8080, port()));
            case 1: return framed6("2001:db8:1::12", client6(), transport(false, 5353, port()));
            default: return framed6("2001:db8:50::1", client6(), transport(false, 9000, port()));
        }
    }

    std::mt19937 random_;
    std::array<u16, 8> nat_ports_{};
};

void expect_same_counters(Node& a, Node& b) {
    for (size_t i = 0; i < a.offline().counters().ports().size(); i++)
        EXPECT_EQ(std::memcmp(&a.offline().counters().ports()[i], &b.offline().counters().ports()[i],
                              sizeof(port_counters)),
                  0)
            << "port " << i;
    for (size_t i = 0; i < a.offline().counters().backends().size(); i++)
        EXPECT_EQ(std::memcmp(&a.offline().counters().backends()[i], &b.offline().counters().backends()[i],
                              sizeof(backend_counters)),
                  0)
            << "backend " << i;
}

void expect_same(const Outcome& one, const Outcome& other) {
    EXPECT_EQ(one.decision.word, other.decision.word);
    EXPECT_EQ(one.decision.egress, other.decision.egress);
    EXPECT_EQ(one.decision.port, other.decision.port);
    EXPECT_EQ(one.decision.service, other.decision.service);
    EXPECT_EQ(one.decision.backend, other.decision.backend);
    EXPECT_EQ(one.decision.rule, other.decision.rule);
    EXPECT_EQ(one.decision.length, other.decision.length);
    if (one.verdict() != VERDICT_DROP) {
        EXPECT_EQ(one.frame, other.frame);
    }
}

class SettledTraffic : public testing::TestWithParam<u32> {};

TEST_P(SettledTraffic, LeavesAsItWouldTheLongWay) {
    const std::string rules[] = {"", "{ name: mark, from: [203.0.113.2/32], action: allow, set_dscp: 10 }",
                                 "{ name: no, from: [203.0.113.3/32], action: drop }"};
    Node node(sample(rules[0]));
    Node other(sample(rules[0]));
    other.offline().node().flow_seed = node.offline().node().flow_seed;
    other.offline().node().long_way = 1;
    Traffic traffic(GetParam());
    for (u32 round = 0; round < 400; round++) {
        std::vector<Bytes> frames(1 + traffic.below(70));
        for (Bytes& frame : frames) frame = traffic.next();
        const std::vector<Outcome> one = node.run(frames);
        const std::vector<Outcome> two = other.run(frames);
        ASSERT_EQ(one.size(), two.size());
        for (size_t i = 0; i < one.size() && !HasFailure(); i++) expect_same(one[i], two[i]);
        ASSERT_FALSE(HasFailure()) << "round " << round;
        for (const Outcome& outcome : one)
            if (outcome.verdict() == VERDICT_FORWARD) traffic.left(outcome.frame);
        const u64 pause = traffic.below(50) == 0 ? 40 * Node::second : traffic.below(1 << 20);
        other.now_ns = node.now_ns += pause;
        if (traffic.below(40) == 0) {
            const std::string yaml = sample(rules[traffic.below(3)]);
            node.reload(yaml);
            other.reload(yaml);
        }
    }
    expect_same_counters(node, other);
    expect_books_close(node);
    EXPECT_GT(node.engine().settled_packets(), 1000u);
    EXPECT_EQ(other.engine().settled_packets(), 0u);
}

// The reply finds its flow through an alias.
TEST(Settled, FullnatGoesTheShortWayInBothDirections) {
    Node node(sample());
    const auto request = [&](u8 flags) {
        const Transport segment = tcp({.source_port = 40000, .destination_port = 80, .flags = flags});
        return node.run({ethernet(ipv4({.source = "203.0.113.7", .destination = "192.0.2.11"}, segment))});
    };
    const u16 nat_port = get16(request(TCP_SYN).at(0).frame, SETTLED_L4);
    const auto reply = [&](u8 flags) {
        const Transport segment = tcp({.source_port = 80, .destination_port = nat_port, .flags = flags});
        return node.run({ethernet(ipv4({.source = "10.0.1.13", .destination = "10.0.0.254"}, segment))});
    };
    reply(TCP_SYN | TCP_ACK);
    request(TCP_ACK);
    const u64 before = node.engine().settled_packets();
    EXPECT_EQ(request(TCP_ACK).at(0).verdict(), VERDICT_FORWARD);
    EXPECT_EQ(node.engine().settled_packets(), before + 1);
    EXPECT_EQ(reply(TCP_ACK).at(0).verdict(), VERDICT_FORWARD);
    EXPECT_EQ(node.engine().settled_packets(), before + 2);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SettledTraffic, testing::Range(1u, 9u));

}  // namespace
}  // namespace sluice
