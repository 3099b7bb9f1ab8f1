// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/unit/compile_image.h"

namespace sluice::compile {
namespace {

using config::Action;
using config::Address;
using config::Config;
using config::Prefix;
using config::Rule;

class RandomPolicy {
public:
    explicit RandomPolicy(u64 seed) : random_(seed) {}

    u64 below(u64 bound) { return random_() % bound; }
    bool one_in(u64 n) { return below(n) == 0; }

    // From few networks, so that rules and packets meet.
    Address address() {
        Address a = addr(one_in(4) ? "2001:db8::" : "10.0.0.0");
        for (const size_t i : {12, 13, 14, 15}) {
            if (a.is_v4() && i == 12) continue;
            a.bytes[i] = static_cast<u8>(one_in(3) ? below(256) : below(4));
        }
        return a;
    }

    Prefix prefix() {
        const Address a = address();
        const u64 width = one_in(3) ? 0 : below(24);
        if (one_in(40)) return net(a.is_v4() ? "0.0.0.0/0" : "::/0");
        return *Prefix::parse(a.text() + "/" + std::to_string((a.is_v4() ? 32 : 128) - width));
    }

    u16 port() { return static_cast<u16>(one_in(2) ? below(65536) : 80 + below(20)); }

    config::PortRanges ranges() {
        config::PortRanges ranges;
        u32 from = 0;
        for (u64 i = 0; i < 1 + below(3); ++i) {
            const u32 lo = from + static_cast<u32>(one_in(2) ? below(100) : below(30000));
            const u32 hi = lo + static_cast<u32>(one_in(2) ? 0 : below(2000));
            if (hi > 65535) break;
            ranges.push_back({static_cast<u16>(lo), static_cast<u16>(hi)});
            from = hi + 2;
        }
        if (ranges.empty()) ranges.push_back({65535, 65535});
        return ranges;
    }

    config::AddressMatch addresses() {
        config::AddressMatch match;
        if (one_in(3)) return match;
        for (u64 i = 0; i < 1 + below(3); ++i) match.prefixes.push_back(prefix());
        if (one_in(4)) match.sets.push_back(one_in(2) ? "small" : "large");
        return match;
    }

    void set_protocol(Rule& rule) {
        switch (below(6)) {
            case 0: rule.protocol = one_in(2) ? 6 : 17; break;
            case 1:
                rule.protocol = 6;
                rule.tcp_flags = config::TcpFlags{2, static_cast<u8>(one_in(2) ? 16 : 4)};
                break;
            case 2:
                if (one_in(2)) rule.protocol = one_in(2) ? 1 : 58;
                rule.icmp_types = {{0, 0}, {8, static_cast<u16>(8 + below(130))}};
                return;
            case 3: rule.protocol = static_cast<u8>(below(140)); return;
            default: break;
        }
        if (one_in(2)) rule.ports = ranges();
        if (one_in(4)) rule.source_ports = ranges();
    }

    Rule rule(size_t number) {
        Rule rule;
        rule.name = "rule-" + std::to_string(number);
        rule.action = static_cast<Action>(below(3));
        rule.from = addresses();
        rule.to = addresses();
        set_protocol(rule);
        if (one_in(5)) rule.except.from = addresses();
        if (one_in(5)) rule.except.to = addresses();
        if (one_in(8) && (!rule.protocol || *rule.protocol == 6)) rule.except.ports = ranges();
        if (one_in(8) && (!rule.protocol || *rule.protocol == 6)) rule.except.source_ports = ranges();
        if (one_in(6)) rule.dry_run = rule.action != Action::rate_limit;
        if (one_in(10)) rule.dscp = static_cast<u8>(below(4));
        if (one_in(10)) rule.interface = one_in(2) ? "eth0.200" : "eth1";
        if (one_in(15)) rule.vlan = 200;
        if (one_in(10)) rule.service = one_in(2) ? "web" : "range";
        return rule;
    }

    Config config(size_t rules, size_t large) {
        Config config;
        config.policy.managed = {net("10.0.0.0/8"), net("2001:db8::/32")};
        for (size_t i = 0; i < 20; ++i) config.policy.sets["small"].prefixes.push_back(prefix());
        auto& set = config.policy.sets["large"].prefixes;
        while (set.size() < large) set.push_back(host_net());
        std::sort(set.begin(), set.end());
        set.erase(std::unique(set.begin(), set.end()), set.end());
        config.services = {test_service("web", "10.0.1.1", {{80, 90}}),
                           test_service("range", "10.0.1.0/24", {})};
        for (size_t i = 0; i < rules; ++i) config.policy.rules.push_back(rule(i));
        return config;
    }

    naive::Packet packet(const std::vector<LogicalPort>& ports) {
        naive::Packet packet;
        packet.source = address();
        do packet.destination = address();
        while (packet.destination.is_v4() != packet.source.is_v4());
        packet.protocol = static_cast<u8>(one_in(8) ? below(140) : (one_in(2) ? 6 : 17));
        if (one_in(8)) packet.protocol = packet.source.is_v4() ? 1 : 58;
        if (packet.has_ports()) {
            packet.source_port = port();
            packet.destination_port = port();
        }
        if (packet.protocol == 6) packet.tcp_flags = static_cast<u8>(below(256));
        if (packet.protocol == 1 || packet.protocol == 58) packet.icmp_type = static_cast<u8>(below(256));
        packet.dscp = static_cast<u8>(below(6));
        packet.port = &ports[below(ports.size())];
        return packet;
    }

private:
    Prefix host_net() {
        Address a = addr("10.0.0.0");
        for (const size_t i : {13, 14, 15}) a.bytes[i] = static_cast<u8>(below(256));
        if (one_in(4)) return {a, 128};
        a.bytes[15] &= 0xf8;
        return {a, 125};
    }

    std::mt19937_64 random_;
};

// The image's answers against a walk over the configuration. Counts the packets that some rule decided, in
// `decided`.
void expect_same_answers(size_t& decided, u64 seed, size_t rules, size_t large, size_t packets) {
    RandomPolicy random(seed);
    const Config config = random.config(rules, large);
    const Environment environment = test_environment();
    const Snapshot snapshot = compiled(config);
    ASSERT_FALSE(snapshot.lines.empty());
    const BuildStatistics& built = snapshot.statistics;
    printf(
        "%zu rules, a set of %zu prefixes: %.0f ms, %zu rows, %zu source and %zu destination prefixes, %.1f "
        "MB\n",
        rules, config.policy.sets.at("large").prefixes.size(), built.milliseconds, built.rows,
        built.source_prefixes, built.destination_prefixes, static_cast<double>(built.bytes) / 1e6);
    const naive::Policy policy(config.policy);
    for (size_t i = 0; i < packets; ++i) {
        const naive::Packet packet = random.packet(environment.ports);
        const config::Service* service = packet.has_ports() ? naive::service_of(config, packet) : nullptr;
        const u32 expected = policy.first_rule(packet, service != nullptr ? service->name : "");
        const u32 claimed = claim(snapshot, packet);
        ASSERT_EQ(claimed, service != nullptr ? snapshot.identities.services.at(service->name) + 1U : 0U);
        u32 dry_run = 0;
        ASSERT_EQ(match(snapshot, packet, &dry_run), expected)
            << "packet " << i << ": " << packet.source.text() << " > " << packet.destination.text()
            << " protocol " << +packet.protocol << " ports " << packet.source_port << " "
            << packet.destination_port;
        ASSERT_EQ(dry_run, policy.dry_run(packet, service != nullptr ? service->name : "")) << "packet " << i;
        if (expected != 0) ++decided;
    }
}

TEST(CompiledPolicy, TenRulesAnswerAsAWalkOverThem) {
    size_t decided = 0;
    for (u64 seed = 1; seed <= 20; ++seed) expect_same_answers(decided, seed, 10, 100, 10000);
    EXPECT_GT(decided, 10000U);
}

TEST(CompiledPolicy, AThousandRulesAnswerAsAWalkOverThem) {
    size_t decided = 0;
    for (u64 seed = 1; seed <= 2; ++seed) expect_same_answers(decided, seed, 1000, 1000, 50000);
    EXPECT_GT(decided, 10000U);
}

TEST(CompiledPolicy, TenThousandRulesAnswerAsAWalkOverThem) {
    size_t decided = 0;
    expect_same_answers(decided, 3, 10000, 1000, 100000);
    EXPECT_GT(decided, 10000U);
}

TEST(CompiledPolicy, AMillionPrefixesAnswerAsAWalkOverThem) {
    size_t decided = 0;
    expect_same_answers(decided, 4, 100, 1100000, 100000);
    EXPECT_GT(decided, 10000U);
}

Rule rule(std::string name, Action action) {
    Rule rule;
    rule.name = std::move(name);
    rule.action = action;
    return rule;
}

// The image's record of rule `position`.
const image_rule& rule_at(const Snapshot& snapshot, u32 position) {
    return record<image_rule>(snapshot, snapshot.header().policy.rules, position);
}

TEST(CompiledPolicy, WithoutRulesNothingIsLookedUp) {
    const Snapshot snapshot = compiled(Config{});
    EXPECT_EQ(snapshot.header().policy.words, 0U);
    EXPECT_EQ(snapshot.header().policy.rows, 0U);
    EXPECT_EQ(snapshot.header().source.line, 0U);
}

TEST(CompiledPolicy, ASetWithoutMembersMatchesNothing) {
    Config config;
    config.policy.sets["none"] = {};
    config.policy.rules = {rule("never", Action::drop)};
    config.policy.rules[0].from.sets = {"none"};
    const Environment environment = test_environment();
    naive::Packet packet{
        .source = addr("10.1.1.1"), .destination = addr("10.1.1.2"), .port = &environment.ports[0]};
    EXPECT_EQ(match(compiled(config), packet), 0U);
}

TEST(CompiledPolicy, IcmpAndIcmpv6AreTwoProtocols) {
    Config config;
    config.policy.rules = {rule("four", Action::allow), rule("six", Action::allow)};
    config.policy.rules[0].protocol = 1;
    config.policy.rules[1].protocol = 58;
    const Snapshot snapshot = compiled(config);
    const Environment environment = test_environment();
    naive::Packet packet{.source = addr("10.1.1.1"),
                         .destination = addr("10.1.1.2"),
                         .protocol = 1,
                         .icmp_type = 8,
                         .port = &environment.ports[0]};
    EXPECT_EQ(match(snapshot, packet), 1U);
    packet.source = addr("2001:db8::1");
    packet.destination = addr("2001:db8::2");
    packet.protocol = 58;
    packet.icmp_type = 128;
    EXPECT_EQ(match(snapshot, packet), 2U);
}

TEST(CompiledPolicy, RatesBecomeCostAndBurst) {
    Config config;
    config.policy.rules = {rule("packets", Action::rate_limit), rule("bytes", Action::rate_limit)};
    config::Rate rate;
    rate.packets = 100;
    rate.burst = 200;
    rate.per = config::RatePer::source;
    config.policy.rules[0].rate = rate;
    config.policy.rules[0].tcp_flags = config::TcpFlags{2, 16};
    config.policy.rules[1].rate.emplace().bytes = 1e6;
    const Snapshot snapshot = compiled(config);
    const image_rule& packets = rule_at(snapshot, 0);
    EXPECT_EQ(packets.action, ACTION_ALLOW);
    EXPECT_EQ(packets.flags, RULE_METER | RULE_METER_SOURCE | RULE_FIRST_ONLY);
    EXPECT_EQ(packets.cost, 10'000'000U * 256);
    EXPECT_EQ(packets.burst, 2'000'000'000U);
    const image_rule& bytes = rule_at(snapshot, 1);
    EXPECT_EQ(bytes.flags, RULE_METER | RULE_METER_BYTES);
    EXPECT_EQ(bytes.cost, 1000U * 256);
    EXPECT_EQ(bytes.burst, 1'000'000'000U);
}

TEST(CompiledPolicy, ActionsAndMarksAreCarriedOver) {
    Config config;
    config.policy.rules = {rule("drop", Action::drop), rule("reject", Action::reject),
                           rule("voice", Action::allow)};
    config.policy.rules[2].set_dscp = 46;
    config.policy.rules[2].stateful = false;
    const Snapshot snapshot = compiled(config);
    EXPECT_EQ(rule_at(snapshot, 0).action, ACTION_DROP);
    EXPECT_EQ(rule_at(snapshot, 1).action, ACTION_REJECT);
    EXPECT_EQ(rule_at(snapshot, 2).action, ACTION_ALLOW);
    EXPECT_EQ(rule_at(snapshot, 2).flags, RULE_SET_DSCP | RULE_STATELESS);
    EXPECT_EQ(rule_at(snapshot, 2).dscp, 46);
}

}  // namespace
}  // namespace sluice::compile
