// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/engine_sample.h"

namespace sluice {
namespace {

using namespace test;

const std::string reject_all = "{ name: no, from: [203.0.113.0/24, \"2001:db8:7::/48\"], action: reject }";

void expect_turned_link(const Bytes& frame) {
    EXPECT_EQ(Bytes(frame.begin(), frame.begin() + 12), (Bytes{2, 0, 0, 0, 0, 0x77, 2, 0, 0, 0, 0, 1}));
}

TEST(EngineAnswers, ASynIsAnsweredByAResetThatAcknowledgesIt) {
    Node node(sample(reject_all));
    const Outcome out = node.run_one(ethernet(ipv4({}, tcp({.sequence = 5000, .payload = "abc"}))));
    EXPECT_EQ(out.decision.word, reject(ANSWER_POLICY));
    EXPECT_EQ(out.decision.egress, 1u);
    EXPECT_EQ(out.frame.size(), 54u);
    const Ipv4View reset(out.frame);
    EXPECT_EQ(reset.source, "192.0.2.10");
    EXPECT_EQ(reset.destination, "203.0.113.7");
    EXPECT_EQ(reset.source_port, 80);
    EXPECT_EQ(reset.destination_port, 40000);
    EXPECT_EQ(reset.ttl, 64);
    EXPECT_EQ(get32(out.frame, 38), 0u);
    EXPECT_EQ(get32(out.frame, 42), 5000u + 3 + 1);
    EXPECT_EQ(out.frame[47], TCP_RST | TCP_ACK);
    ip_checked(out.frame);
    expect_turned_link(out.frame);
}

TEST(EngineAnswers, ASegmentWithAckIsAnsweredFromItsAcknowledgment) {
    Node node(sample(reject_all));
    const Outcome out = node.run_one(
        ethernet(ipv4({.options = Bytes(8, 1)}, tcp({.acknowledgment = 777, .flags = TCP_ACK | TCP_FIN}))));
    EXPECT_EQ(out.decision.word, reject(ANSWER_POLICY));
    EXPECT_EQ(get32(out.frame, 38), 777u);
    EXPECT_EQ(get32(out.frame, 42), 0u);
    EXPECT_EQ(out.frame[47], TCP_RST);
    ip_checked(out.frame);
}

TEST(EngineAnswers, Ipv6TcpIsReset) {
    Node node(sample(reject_all));
    const Bytes chain = {PROTOCOL_TCP, 0, 1, 4, 0, 0, 0, 0};
    const Outcome out = node.run_one(
        ethernet(ipv6({.extension = PROTOCOL_DESTINATION, .extensions = chain}, tcp({.sequence = 9}))));
    EXPECT_EQ(out.decision.word, reject(ANSWER_POLICY));
    EXPECT_EQ(out.frame.size(), 74u);
    EXPECT_EQ(get32(out.frame, 54 + 8), 10u);
    EXPECT_EQ(Bytes(out.frame.begin() + 22, out.frame.begin() + 38), address_bytes("2001:db8::10"));
    ip_checked(out.frame);
}

TEST(EngineAnswers, AResetIsNotAnswered) {
    Node node(sample(reject_all));
    EXPECT_EQ(node.run_one(ethernet(ipv4({}, tcp({.flags = TCP_RST})))).decision.word, drop(REASON_POLICY));
}

TEST(EngineAnswers, UdpIsAnsweredByAdministrativelyProhibitedQuotingIt) {
    Node node(sample(reject_all));
    const Bytes packet = ipv4({}, udp());
    const Outcome out = node.run_one(ethernet(packet, {.vlans = {200}}));
    EXPECT_EQ(out.decision.word, reject(ANSWER_POLICY));
    EXPECT_EQ(out.decision.egress, 2u);
    EXPECT_EQ(get16(out.frame, 12), ETHER_VLAN);
    EXPECT_EQ(get16(out.frame, 14), 200);
    const Ipv4View error(out.frame, 18);
    EXPECT_EQ(error.source, "10.0.0.254");  // VLAN 200 has no address of its own
    EXPECT_EQ(error.destination, "203.0.113.7");
    EXPECT_EQ(out.frame[38], ICMP_UNREACHABLE);
    EXPECT_EQ(out.frame[39], 13);
    EXPECT_EQ(packet_of(out.frame, 46), packet);
    ip_checked(out.frame, 18);
    expect_turned_link(out.frame);
}

TEST(EngineAnswers, Ipv6UdpIsAnsweredByAdministrativelyProhibited) {
    Node node(sample(reject_all));
    const Bytes packet = ipv6({}, udp());
    const Outcome out = node.run_one(ethernet(packet));
    EXPECT_EQ(out.decision.word, reject(ANSWER_POLICY));
    EXPECT_EQ(out.frame[54], ICMPV6_UNREACHABLE);
    EXPECT_EQ(out.frame[55], 1);
    EXPECT_EQ(Bytes(out.frame.begin() + 22, out.frame.begin() + 38), address_bytes("2001:db8:0:1::fe"));
    EXPECT_EQ(packet_of(out.frame, 62), packet);
    ip_checked(out.frame);
}

TEST(EngineAnswers, AnExpiredTtlIsAnsweredAndQuotesAtMost576Bytes) {
    Node node(sample());
    const Bytes packet = ipv4({.ttl = 1}, udp({.payload = std::string(1000, 'q')}));
    const Outcome out = node.run_one(ethernet(packet));
    EXPECT_EQ(out.decision.word, reject(ANSWER_TTL_EXCEEDED));
    EXPECT_EQ(out.frame[34], ICMP_TIME_EXCEEDED);
    EXPECT_EQ(out.frame[35], 0);
    EXPECT_EQ(get16(out.frame, 16), 576);
    EXPECT_EQ(out.frame.size(), 14u + 576);
    EXPECT_EQ(packet_of(out.frame, 42), Bytes(packet.begin(), packet.begin() + 548));
    ip_checked(out.frame);
    EXPECT_EQ(node.port(1).packets[VERDICT_REJECT], 1u);
}

TEST(EngineAnswers, AnExpiredHopLimitQuotesAtMost1280Bytes) {
    Node node(sample());
    const Outcome out =
        node.run_one(ethernet(ipv6({.hop_limit = 1}, udp({.payload = std::string(1400, 'q')}))));
    EXPECT_EQ(out.decision.word, reject(ANSWER_TTL_EXCEEDED));
    EXPECT_EQ(out.frame[54], ICMPV6_TIME_EXCEEDED);
    EXPECT_EQ(out.frame.size(), 14u + 1280);
    ip_checked(out.frame);
}

TEST(EngineAnswers, TooBigNamesTheMtuOfTheWayOut) {
    Node node(sample());
    const auto big = [](u16 fragment) {
        return ethernet(ipv4({.destination = "192.0.2.16", .fragment = fragment},
                             udp({.payload = std::string(1380, 'b')})));
    };
    const Outcome out = node.run_one(big(IPV4_DONT_FRAGMENT));
    EXPECT_EQ(out.decision.word, reject(ANSWER_TOO_BIG));
    EXPECT_EQ(out.frame[34], ICMP_UNREACHABLE);
    EXPECT_EQ(out.frame[35], 4);
    EXPECT_EQ(get16(out.frame, 40), 1400);
    ip_checked(out.frame);
    const Outcome cut = node.run_one(big(0));
    EXPECT_EQ(cut.decision.word, u32{VERDICT_FORWARD});
    EXPECT_EQ(cut.decision.split, 1400u);
}

TEST(EngineAnswers, TooBigForATunnelNamesWhatFitsInside) {
    Node node(sample());
    const Outcome out =
        node.run_one(ethernet(ipv4({.destination = "192.0.2.12", .fragment = IPV4_DONT_FRAGMENT},
                                   udp({.payload = std::string(1460, 'b')}))));
    EXPECT_EQ(out.decision.word, reject(ANSWER_TOO_BIG));
    EXPECT_EQ(get16(out.frame, 40), 1480);
}

struct Silent {
    const char* name;
    Bytes frame;
    u32 word;
};

class NoAnswer : public testing::TestWithParam<Silent> {};

TEST_P(NoAnswer, IsSent) {
    Node node(sample());
    EXPECT_EQ(node.run_one(GetParam().frame).decision.word, GetParam().word);
    expect_books_close(node);
}

Bytes expired(const std::string& source, Transport inner) {
    return ethernet(ipv4({.source = source, .destination = "10.50.8.1", .ttl = 1}, std::move(inner)));
}

const Silent silent[] = {
    {"AboutAnIcmpError", expired("203.0.113.7", icmp(PROTOCOL_ICMP, ICMP_UNREACHABLE, 1, 0, 0, Bytes(28))),
     drop(REASON_TTL_EXPIRED)},
    {"AboutARedirect", expired("203.0.113.7", icmp(PROTOCOL_ICMP, 5, 1, 0, 0, Bytes(28))),
     drop(REASON_TTL_EXPIRED)},
    {"ToNowhere", expired("0.0.0.0", udp()), drop(REASON_TTL_EXPIRED)},
    {"ToLoopback", expired("127.0.0.1", udp()), drop(REASON_TTL_EXPIRED)},
    {"ToMulticast", expired("224.0.0.5", udp()), drop(REASON_TTL_EXPIRED)},
    {"ToBroadcast", expired("255.255.255.255", udp()), drop(REASON_TTL_EXPIRED)},
};

INSTANTIATE_TEST_SUITE_P(Kinds, NoAnswer, testing::ValuesIn(silent),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(EngineAnswers, NoneIsSentAboutALaterFragment) {
    Node node(sample());
    const auto parts = fragments_of({.ttl = 1}, udp({.payload = std::string(2000, 'f')}), 1472);
    const std::vector<Outcome> outcomes = node.run({ethernet(parts[0]), ethernet(parts[1])});
    ASSERT_EQ(outcomes.size(), 2u);
    EXPECT_EQ(outcomes[0].decision.word, reject(ANSWER_TTL_EXCEEDED));
    EXPECT_EQ(outcomes[1].decision.word, drop(REASON_TTL_EXPIRED));
}

TEST(EngineAnswers, TheyAreLimited) {
    Node node(sample(reject_all), {.answers_per_second = 10, .answers_burst = 5});
    const auto answered = [&](int packets) {
        int count = 0;
        for (int i = 0; i < packets; i++) {
            const u32 word = node.run_one(dns_query()).decision.word;
            if (word == reject(ANSWER_POLICY))
                count++;
            else
                EXPECT_EQ(word, drop(REASON_REJECT_LIMITED));
        }
        return count;
    };
    EXPECT_EQ(answered(20), 5);
    node.now_ns += Node::second / 5;
    EXPECT_EQ(answered(20), 2);
    expect_books_close(node);
}

TEST(EngineAnswers, WithoutRoomBeforeTheFrameNoneIsComposed) {
    Node node(sample(reject_all));
    struct Sink {
        Decision decision;
        void finish(Frame&, const Decision& given) { decision = given; }
    } sink;
    Bytes bytes = dns_query();
    Frame frame;
    frame.buffer = frame.data = bytes.data();
    frame.end = bytes.data() + bytes.size();
    frame.ifindex = 1;
    node.engine().run({&frame, 1}, node.now_ns, sink);
    EXPECT_EQ(sink.decision.word, drop(REASON_HEADROOM));
}

}  // namespace
}  // namespace sluice
