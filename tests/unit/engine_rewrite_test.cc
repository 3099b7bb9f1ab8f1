// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/engine_sample.h"

namespace sluice {
namespace {

using namespace test;

TEST(EngineRewrite, NatTranslatesTcpBothWays) {
    Node node(sample());
    const Outcome there = node.run_one(ethernet(ipv4({}, tcp({.payload = "hello"}))));
    ASSERT_EQ(there.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(there.decision.egress, 1u);
    const Ipv4View out(there.frame);
    EXPECT_EQ(out.destination, "10.0.1.11");
    EXPECT_EQ(out.destination_port, 8080);
    EXPECT_EQ(out.source, "203.0.113.7");
    EXPECT_EQ(out.ttl, 63);
    ip_checked(there.frame);
    EXPECT_EQ(Bytes(there.frame.begin(), there.frame.begin() + 12),
              (Bytes{2, 0, 0, 0, 0, 0xfe, 2, 0, 0, 0, 0, 1}));

    const Outcome back = node.run_one(
        ethernet(ipv4({.source = "10.0.1.11", .destination = "203.0.113.7"},
                      tcp({.source_port = 8080, .destination_port = 40000, .flags = TCP_SYN | TCP_ACK}))));
    ASSERT_EQ(back.verdict(), VERDICT_FORWARD);
    const Ipv4View reply(back.frame);
    EXPECT_EQ(reply.source, "192.0.2.10");
    EXPECT_EQ(reply.source_port, 80);
    EXPECT_EQ(reply.destination, "203.0.113.7");
    EXPECT_EQ(reply.destination_port, 40000);
    ip_checked(back.frame);
    EXPECT_EQ(back.decision.service, there.decision.service);
    EXPECT_EQ(back.decision.backend, there.decision.backend);
}

TEST(EngineRewrite, NatTranslatesIpv6BothWays) {
    Node node(sample());
    const Outcome there = node.run_one(ethernet(ipv6({}, tcp({.payload = "hello"}))));
    ASSERT_EQ(there.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(Bytes(there.frame.begin() + 38, there.frame.begin() + 54), address_bytes("2001:db8:1::11"));
    EXPECT_EQ(there.frame[21], 63);
    ip_checked(there.frame);
    const Outcome back = node.run_one(
        ethernet(ipv6({.source = "2001:db8:1::11", .destination = "2001:db8:7::7"},
                      tcp({.source_port = 8080, .destination_port = 40000, .flags = TCP_SYN | TCP_ACK}))));
    ASSERT_EQ(back.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(Bytes(back.frame.begin() + 22, back.frame.begin() + 38), address_bytes("2001:db8::10"));
    ip_checked(back.frame);
}

TEST(EngineRewrite, UdpWithoutChecksumStaysWithout) {
    Node node(sample());
    const Outcome out = node.run_one(ethernet(ipv4({}, udp({.checksum = false}))));
    ASSERT_EQ(out.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(get16(out.frame, 40), 0);
    ip_checked(out.frame);
}

// Over all of a port's values the checksum meets 0, which UDP sends as 0xffff.
TEST(EngineRewrite, UdpChecksumIsRightAndNeverZeroForAnyPort) {
    Node node(sample());
    for (u32 port = 1; port < 65536; port += 3) {
        const Outcome out = node.run_one(dns_query(static_cast<u16>(port)));
        ASSERT_EQ(out.verdict(), VERDICT_FORWARD);
        ASSERT_NE(get16(out.frame, 40), 0) << "port " << port;
        ASSERT_EQ(checksum_faults(packet_of(out.frame)), "") << "port " << port;
    }
}

TEST(EngineRewrite, AWrongChecksumStaysWrong) {
    Node node(sample());
    Bytes frame = ethernet(ipv4({}, tcp({.payload = "hello"})));
    frame.back() ^= 1;
    const Outcome out = node.run_one(frame);
    ASSERT_EQ(out.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(checksum_faults(packet_of(out.frame)), "transport 6");
}

TEST(EngineRewrite, FullnatPutsTheNodesOwnAddressAndAPortOfItsRange) {
    Node node(sample());
    const Outcome there = node.run_one(ethernet(ipv4({.destination = "192.0.2.11"}, tcp())));
    ASSERT_EQ(there.verdict(), VERDICT_FORWARD);
    const Ipv4View out(there.frame);
    EXPECT_EQ(out.source, "10.0.0.254");
    EXPECT_EQ(out.destination, "10.0.1.13");
    EXPECT_GE(out.source_port, 1024);
    EXPECT_LE(out.source_port, 32767);
    ip_checked(there.frame);
    const Outcome back = node.run_one(ethernet(
        ipv4({.source = "10.0.1.13", .destination = "10.0.0.254"},
             tcp({.source_port = 80, .destination_port = out.source_port, .flags = TCP_SYN | TCP_ACK}))));
    ASSERT_EQ(back.verdict(), VERDICT_FORWARD);
    const Ipv4View reply(back.frame);
    EXPECT_EQ(reply.source, "192.0.2.11");
    EXPECT_EQ(reply.destination, "203.0.113.7");
    EXPECT_EQ(reply.destination_port, 40000);
    ip_checked(back.frame);
}

TEST(EngineRewrite, DsrIpipKeepsTheInnerPacketAndCopiesItsTos) {
    Node node(sample());
    const Bytes inner = ipv4({.destination = "192.0.2.12", .ttl = 1, .tos = 0xb9}, udp());
    const Outcome out = node.run_one(ethernet(inner));
    ASSERT_EQ(out.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(packet_of(out.frame, 34), inner);
    const Ipv4View outer(out.frame);
    EXPECT_EQ(outer.source, "172.16.0.1");
    EXPECT_EQ(outer.destination, "10.0.1.14");
    EXPECT_EQ(outer.ttl, 64);
    EXPECT_EQ(outer.protocol, PROTOCOL_IPIP);
    EXPECT_EQ(out.frame[15], 0xb9);
    EXPECT_EQ(get16(out.frame, 20), 0);  // flags and offset: DF clear
    ip_checked(out.frame);
}

TEST(EngineRewrite, DsrGueHasARightOuterChecksum) {
    Node node(sample());
    for (const bool checksum : {true, false}) {
        const Bytes inner =
            ipv4({.destination = "192.0.2.13"}, udp({.payload = "odd length!", .checksum = checksum}));
        const Outcome out = node.run_one(ethernet(inner));
        ASSERT_EQ(out.verdict(), VERDICT_FORWARD);
        EXPECT_EQ(packet_of(out.frame, 42), inner);
        EXPECT_EQ(get16(out.frame, 36), GUE_PORT);
        EXPECT_NE(get16(out.frame, 40), 0);
        ip_checked(out.frame);
    }
}

TEST(EngineRewrite, DsrL2ChangesTheLinkHeaderOnly) {
    Node node(sample());
    const Bytes inner = ipv4({.destination = "192.0.2.14", .ttl = 1}, udp());
    const Outcome out = node.run_one(ethernet(inner));
    ASSERT_EQ(out.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(packet_of(out.frame), inner);
    EXPECT_EQ(Bytes(out.frame.begin(), out.frame.begin() + 6), (Bytes{2, 0, 0, 0, 0, 0xfe}));
}

TEST(EngineRewrite, AnErrorFromTheBackendsSideIsTranslatedForTheClient) {
    Node node(sample());
    const Outcome there = node.run_one(dns_query());
    const Bytes quoted = packet_of(there.frame);
    const Outcome error =
        node.run_one(ethernet(ipv4({.source = "10.0.1.12", .destination = "203.0.113.7"},
                                   icmp(PROTOCOL_ICMP, ICMP_UNREACHABLE, 3, 0, 0, quoted))));
    ASSERT_EQ(error.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(Ipv4View(error.frame).source, "192.0.2.10");
    EXPECT_EQ(Ipv4View(error.frame).destination, "203.0.113.7");
    const Ipv4View inside(error.frame, 42);
    EXPECT_EQ(inside.source, "203.0.113.7");
    EXPECT_EQ(inside.source_port, 40000);
    EXPECT_EQ(inside.destination, "192.0.2.10");
    EXPECT_EQ(inside.destination_port, 53);
    ip_checked(error.frame);
    EXPECT_EQ(naive_checksum(Bytes(error.frame.begin() + 42, error.frame.begin() + 62)), 0);
}

TEST(EngineRewrite, AnErrorFromTheClientsSideIsTranslatedForTheBackend) {
    Node node(sample());
    node.run_one(dns_query());
    const Outcome back = node.run_one(ethernet(ipv4({.source = "10.0.1.12", .destination = "203.0.113.7"},
                                                    udp({.source_port = 5353, .destination_port = 40000}))));
    ASSERT_EQ(back.verdict(), VERDICT_FORWARD);
    const Outcome error =
        node.run_one(ethernet(ipv4({.source = "198.51.100.1", .destination = "192.0.2.10"},
                                   icmp(PROTOCOL_ICMP, ICMP_TIME_EXCEEDED, 0, 0, 0, packet_of(back.frame)))));
    ASSERT_EQ(error.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(Ipv4View(error.frame).source, "198.51.100.1");  // a router in between stays visible
    EXPECT_EQ(Ipv4View(error.frame).destination, "10.0.1.12");
    const Ipv4View inside(error.frame, 42);
    EXPECT_EQ(inside.source, "10.0.1.12");
    EXPECT_EQ(inside.source_port, 5353);
    EXPECT_EQ(inside.destination, "203.0.113.7");
    ip_checked(error.frame);
}

TEST(EngineRewrite, Icmpv6ErrorsAreTranslated) {
    Node node(sample());
    const Outcome there = node.run_one(ethernet(ipv6({}, udp())));
    ASSERT_EQ(there.verdict(), VERDICT_FORWARD);
    const Outcome error = node.run_one(
        ethernet(ipv6({.source = "2001:db8:1::12", .destination = "2001:db8:7::7"},
                      icmp(PROTOCOL_ICMPV6, ICMPV6_TOO_BIG, 0, 0, 1300, packet_of(there.frame)))));
    ASSERT_EQ(error.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(Bytes(error.frame.begin() + 22, error.frame.begin() + 38), address_bytes("2001:db8::10"));
    EXPECT_EQ(Bytes(error.frame.begin() + 62 + 24, error.frame.begin() + 62 + 40),
              address_bytes("2001:db8::10"));
    EXPECT_EQ(get16(error.frame, 62 + 42), 53);
    ip_checked(error.frame);
}

TEST(EngineRewrite, VlanTagsFollowTheEgressPort) {
    Node node(sample());
    const Outcome same = node.run_one(ethernet(ipv4({}, udp()), {.vlans = {200}}));
    ASSERT_EQ(same.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(same.decision.egress, 1u);
    EXPECT_EQ(get16(same.frame, 12), ETHER_IPV4);  // came by eth0.200, leaves by eth0
    const Outcome tagged = node.run_one(ethernet(ipv4({.destination = "10.50.8.1"}, udp())));
    ASSERT_EQ(tagged.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(tagged.decision.egress, 2u);
    EXPECT_EQ(get16(tagged.frame, 12), ETHER_VLAN);
    EXPECT_EQ(get16(tagged.frame, 14), 200);
    EXPECT_EQ(checksum_faults(packet_of(tagged.frame, 18)), "");
}

TEST(EngineRewrite, ManagedTrafficIsRoutedWithItsAddresses) {
    Node node(sample());
    const Outcome out = node.run_one(ethernet(ipv4({.destination = "10.50.8.1"}, tcp())));
    ASSERT_EQ(out.verdict(), VERDICT_FORWARD);
    EXPECT_EQ(Ipv4View(out.frame, 18).source, "203.0.113.7");
    EXPECT_EQ(Ipv4View(out.frame, 18).destination, "10.50.8.1");
}

}  // namespace
}  // namespace sluice
