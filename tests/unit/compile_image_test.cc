// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/compile_image.h"

#include <gtest/gtest.h>

#include "control/config/loader.h"

namespace sluice::compile {
namespace {

using config::Config;
using config::load_text;
using config::Service;

// A configuration as text, without what the loader refuses.
Config configured(const std::string& text) {
    Result<Config> config = load_text(
        "version: 1\ninterfaces: [{ name: eth0, vlan: [200] }, { name: eth1 }]\n" + text, "test.yaml");
    if (!config) {
        ADD_FAILURE() << config.error().message;
        return {};
    }
    return std::move(*config);
}

std::string refusal(const Config& config) {
    const Result<Snapshot> snapshot = compile(config, test_environment(), nullptr);
    return snapshot.ok() ? "" : snapshot.error().message;
}

TEST(CompiledImage, TheHeaderSaysWhatTheImageIs) {
    Config config = configured("policy: { default: drop, ip_options: drop, tcp_pickup: false }\n");
    Environment environment = test_environment();
    environment.generation = 7;
    const Result<Snapshot> snapshot = compile(config, environment, nullptr);
    ASSERT_TRUE(snapshot.ok());
    const image_header& header = snapshot->header();
    EXPECT_EQ(header.magic, IMAGE_MAGIC);
    EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(&header.magic)), "SLUICE1");
    EXPECT_EQ(header.layout_version, u32{LAYOUT_VERSION});
    EXPECT_EQ(header.generation, 7U);
    EXPECT_EQ(header.lines, snapshot->lines.size());
    EXPECT_EQ(header.flags, IMAGE_DEFAULT_DROP | IMAGE_DROP_IP_OPTIONS);
    EXPECT_EQ(header.services, 0U);
    EXPECT_EQ(header.neighbors, 0U);
    EXPECT_EQ(header.reverse, 0U);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(snapshot->lines.data()) % IMAGE_LINE, 0U);
}

TEST(CompiledImage, EqualInputsMakeEqualBytes) {
    const Config config = configured(
        "policy: { managed: [10.0.0.0/8], rules: [{ name: a, from: [10.1.0.0/16], action: drop }] }\n"
        "services: [{ name: web, vip: 192.0.2.1, protocol: tcp, ports: '80', backends: [{ address: 10.0.1.1 "
        "}] }]\n");
    const Snapshot one = compiled(config);
    const Snapshot two = compiled(config);
    ASSERT_EQ(one.lines.size(), two.lines.size());
    EXPECT_EQ(std::memcmp(one.lines.data(), two.lines.data(), one.lines.size() * sizeof(image_line)), 0);
}

TEST(CompiledImage, DestinationsHaveTheAttributesOfAllThatCoversThem) {
    const Config config = configured(
        "policy: { managed: [10.0.0.0/8] }\n"
        "services:\n"
        "  - { name: web, vip: 10.0.5.1, protocol: tcp, ports: '80' }\n"
        "  - { name: quiet, vip: 192.0.2.9, protocol: tcp, ports: '80', answer_echo: false }\n"
        "tunnels: [{ type: ipip, address: 172.16.0.9 }, { type: gue, address: 10.0.0.7 }]\n");
    const Snapshot snapshot = compiled(config);
    const auto flags = [&](std::string_view a) { return +destination(snapshot, addr(a)).flags; };
    EXPECT_EQ(flags("10.9.9.9"), DESTINATION_MANAGED);
    EXPECT_EQ(flags("10.0.0.254"), DESTINATION_MANAGED | DESTINATION_OWN);
    EXPECT_EQ(flags("2001:db8::fe"), DESTINATION_OWN);
    EXPECT_EQ(flags("10.0.5.1"), DESTINATION_MANAGED | DESTINATION_VIP | DESTINATION_ECHO);
    EXPECT_EQ(flags("192.0.2.9"), DESTINATION_VIP);
    EXPECT_EQ(flags("192.0.2.10"), 0);
    EXPECT_EQ(destination(snapshot, addr("172.16.0.9")).tunnel, TUNNEL_IPIP);
    EXPECT_EQ(destination(snapshot, addr("10.0.0.7")).tunnel, TUNNEL_GUE);
    EXPECT_EQ(flags("10.0.0.7"), DESTINATION_MANAGED);
    EXPECT_TRUE(snapshot.header().flags & IMAGE_TUNNELS);
}

const image_next_hop& next_hop(const Snapshot& snapshot, std::string_view a, u32 index = 0) {
    const u32 group = lpm_find(tables_of(snapshot.lines), snapshot.header().routes, addr(a));
    const auto& record_of_group = record<image_route_group>(snapshot, snapshot.header().route_groups, group);
    return record<image_next_hop>(snapshot, snapshot.header().next_hops, record_of_group.first + index);
}

TEST(CompiledImage, RoutesLeadToNextHops) {
    const Config config = configured(
        "routes:\n"
        "  - { prefix: 0.0.0.0/0, via: 10.0.0.1, mac: '02:00:00:00:00:01', interface: eth0 }\n"
        "  - { prefix: 10.200.0.0/24, interface: eth0.200 }\n"
        "  - { prefix: 10.9.0.0/16, next_hops: [{ via: 10.0.0.2, interface: eth0 }, { via: 10.0.0.3, "
        "interface: eth1, "
        "weight: 2 }] }\n"
        "neighbors: [{ address: 10.0.0.2, mac: '02:00:00:00:00:02', interface: eth0 }]\n");
    const Snapshot snapshot = compiled(config);
    EXPECT_TRUE(snapshot.header().flags & IMAGE_STATIC_ROUTES);
    EXPECT_EQ(next_hop(snapshot, "8.8.8.8").port, 1);
    EXPECT_EQ(next_hop(snapshot, "8.8.8.8").mac[5], 1);
    EXPECT_EQ(next_hop(snapshot, "10.200.0.5").port, 2);
    EXPECT_EQ(next_hop(snapshot, "10.200.0.5").has_mac, 0);
    EXPECT_EQ(next_hop(snapshot, "10.200.0.5").via.word[1], 0U);
    EXPECT_EQ(next_hop(snapshot, "10.9.1.1", 0).mac[5], 2) << "from neighbors";
    EXPECT_EQ(next_hop(snapshot, "10.9.1.1", 0).weight_end, 1);
    EXPECT_EQ(next_hop(snapshot, "10.9.1.1", 1).port, 3);
    EXPECT_EQ(next_hop(snapshot, "10.9.1.1", 1).has_mac, 0);
    EXPECT_EQ(next_hop(snapshot, "10.9.1.1", 1).weight_end, 3);
    EXPECT_EQ(lpm_find(tables_of(snapshot.lines), snapshot.header().routes, addr("2001:db8::1")),
              snapshot.header().routes.none);
}

TEST(CompiledImage, NeighborsAreFound) {
    std::string text = "neighbors:\n";
    for (int i = 0; i < 300; ++i) {
        text +=
            fmt::format("  - {{ address: 10.1.{}.{}, mac: '02:00:00:00:{:02x}:{:02x}', interface: eth1 }}\n",
                        i / 250, i % 250 + 1, i / 250, i % 250 + 1);
    }
    const Snapshot snapshot = compiled(configured(text));
    const struct tables t = tables_of(snapshot.lines);
    for (int i = 0; i < 300; ++i) {
        const struct address key = to_address(addr(fmt::format("10.1.{}.{}", i / 250, i % 250 + 1)));
        const image_neighbor* found = image_neighbor_find(&t, &snapshot.header(), &key);
        ASSERT_NE(found, nullptr) << i;
        EXPECT_EQ(found->mac[5], i % 250 + 1);
        EXPECT_EQ(found->port, 3);
    }
    const struct address other = to_address(addr("10.2.0.1"));
    EXPECT_EQ(image_neighbor_find(&t, &snapshot.header(), &other), nullptr);
}

bool interested(const struct interest& interest, std::string_view a) {
    const struct address key = to_address(addr(a));
    return interest_has(&interest, &key);
}

TEST(CompiledImage, InterestIsInAllThatIsConfigured) {
    const Config config = configured(
        "policy: { managed: [10.0.0.0/7, '2001:db8:5::/48'] }\n"
        "services:\n"
        "  - { name: web, vip: 192.0.2.1, protocol: tcp, ports: '80', backends: [{ address: 172.20.1.1 }] }\n"
        "  - { name: dsr, vip: 192.0.2.2, protocol: tcp, ports: '80', mode: dsr_l2, backends: [{ address: "
        "172.21.1.1 }] }\n"
        "tunnels: [{ type: ipip, address: 172.16.0.9 }]\n");
    const Interests interests = compiled(config).interests;
    for (const char* a : {"10.0.0.1", "11.255.3.4", "192.0.2.1", "192.0.2.2", "172.16.0.9", "2001:db8:5::1",
                          "2001:db8:5:ffff::1"}) {
        EXPECT_TRUE(interested(interests.destination, a)) << a;
    }
    for (const char* a : {"12.0.0.1", "9.255.255.255", "192.0.2.3", "2001:db8:6::1"}) {
        EXPECT_FALSE(interested(interests.destination, a)) << a;
    }
    EXPECT_TRUE(interested(interests.source, "172.20.1.1"));
    EXPECT_FALSE(interested(interests.source, "172.21.1.1")) << "dsr replies do not come by";
}

TEST(CompiledImage, InterestCoversEveryPrefix) {
    for (const char* text :
         {"0.0.0.0/0", "128.0.0.0/1", "10.1.0.0/16", "10.1.2.0/24", "::/0", "2000::/3", "2001:db8::/32",
          "2001:db8:1:2::/64", "::1:0/112", "::/64", "0:0:0:1::/64", "::5:0:0/96"}) {
        struct interest interest {};
        const PrefixKey prefix = PrefixKey::of(net(text));
        interest_add(interest, prefix);
        for (u64 i = 0; i < 2000; ++i) {  // addresses inside, spread over the bits left open
            const u64 noise = i * 0x9e3779b97f4a7c15ULL;
            const u64 high_open = prefix.length >= 64 ? 0 : ~0ULL >> prefix.length;
            const u64 low_open =
                prefix.length >= 128 ? 0 : (prefix.length <= 64 ? ~0ULL : ~0ULL >> (prefix.length - 64));
            const PrefixKey host{prefix.high | (noise & high_open), prefix.low | (noise * 31 & low_open),
                                 128};
            const struct address a = host.address();
            ASSERT_TRUE(interest_has(&interest, &a)) << text;
        }
    }
}

TEST(CompiledImage, TimeoutsAreTicks) {
    Config config;
    config.timeouts.icmp = config::Duration(1);
    const Snapshot snapshot = compiled(config);
    EXPECT_EQ(snapshot.timeouts[STATE_TCP_SYN], 30'000'000'000U / (1 << 20));
    EXPECT_EQ(snapshot.timeouts[STATE_TCP_ESTABLISHED], 3'600'000'000'000U / (1 << 20));
    EXPECT_EQ(snapshot.timeouts[STATE_ICMP], 1U) << "never none";
}

Config with_services(const std::vector<std::string>& names) {
    Config config;
    for (const std::string& name : names) {
        Service service = test_service(name, fmt::format("192.0.2.{}", name.back() - 'a' + 1), {{80, 80}});
        service.backends = {test_backend("10.0.1.1"), test_backend("10.0.1.2")};
        config.services.push_back(service);
        config::Rule rule;
        rule.name = "rule-" + name;
        config.policy.rules.push_back(rule);
    }
    return config;
}

TEST(CompiledImage, WhatStaysKeepsItsNumber) {
    const Snapshot before = compiled(with_services({"a", "b", "c"}));
    const Snapshot after = compiled(with_services({"d", "c", "a"}), &before.identities);
    const Identities& old = before.identities;
    const Identities& now = after.identities;
    for (const char* name : {"a", "c"}) {
        EXPECT_EQ(now.services.at(name), old.services.at(name));
        EXPECT_EQ(now.rules.at(std::string("rule-") + name), old.rules.at(std::string("rule-") + name));
        const BackendKey key{name, addr("10.0.1.2"), 0};
        EXPECT_EQ(now.backends.at(key), old.backends.at(key));
    }
    EXPECT_EQ(now.services.at("d"), old.services.at("b")) << "the lowest free number";
    EXPECT_EQ(now.services.find("b"), std::nullopt);
    EXPECT_EQ(*now.services.name(now.services.at("d")), "d");
    EXPECT_EQ(now.services.name(99), nullptr);
    EXPECT_EQ(now.rules.at("rule-d"), 1);
    EXPECT_EQ(record<image_rule>(after, after.header().policy.rules, 0).id, now.rules.at("rule-d"))
        << "order is position's";
}

TEST(CompiledImage, BackendsOfTwoServicesAreTwo) {
    const Snapshot snapshot = compiled(with_services({"a", "b"}));
    const BackendKey a{"a", addr("10.0.1.1"), 0};
    const BackendKey b{"b", addr("10.0.1.1"), 0};
    EXPECT_NE(snapshot.identities.backends.at(a), snapshot.identities.backends.at(b));
    EXPECT_EQ(a.text(), "10.0.1.1");
    EXPECT_EQ((BackendKey{"a", addr("10.0.1.1"), 80}.text()), "10.0.1.1:80");
    EXPECT_EQ((BackendKey{"a", addr("2001:db8::1"), 80}.text()), "[2001:db8::1]:80");
}

TEST(CompiledImage, MoreThanTheTablesHoldIsRefusedWithItsPlace) {
    Config config = configured(
        "services:\n"
        "  - { name: one, vip: 192.0.2.1, protocol: tcp, ports: '80', backends: [{ address: 10.0.0.1 }] }\n"
        "  - { name: two, vip: 192.0.2.2, protocol: tcp, ports: '80', backends: [{ address: 10.0.0.1 }] }\n");
    ASSERT_EQ(config.services.size(), 2U);
    config.tables.services = 1;
    EXPECT_EQ(refusal(config),
              "test.yaml:5:5: services[1]: 2 services are configured: expected at most 1 (tables.services)");
    config.tables.services = 16;
    config.tables.backends = 1;
    EXPECT_EQ(refusal(config),
              "test.yaml:5:73: services[1].backends[0]: 2 backends are configured: expected at most 1 "
              "(tables.backends)");
}

TEST(CompiledImage, TwoServicesOnOnePortAreRefused) {
    Config config = with_services({"a", "b"});
    config.services[1].vip = config.services[0].vip;
    EXPECT_NE(refusal(config).find("port 80 of 192.0.2.1/32 is claimed by service \"a\", too"),
              std::string::npos)
        << refusal(config);
    config = with_services({"a"});
    config.services.push_back(config.services[0]);
    EXPECT_NE(refusal(config).find("expected each service once"), std::string::npos);
}

TEST(CompiledImage, WhatThePacketPathLacksIsRefusedWithItsPlace) {
    const auto services = [](const std::string& keys) {
        return configured("services:\n  - { name: s, vip: 192.0.2.1, protocol: tcp, ports: '80,81', " + keys +
                          " }\n");
    };
    EXPECT_EQ(refusal(services("mode: proxy")), "");  // leaves the packet path for the host
    EXPECT_NE(refusal(services("scheduler: round_robin")).find("expected scheduler"), std::string::npos);
    EXPECT_NE(refusal(services("flow_table: false, mode: fullnat")).find("flow_table: false"),
              std::string::npos);
    EXPECT_EQ(refusal(services("flow_table: false, mode: dsr_l2")), "");
    EXPECT_NE(refusal(configured("tunnels: [{ type: gre, address: 10.0.0.9 }]\n"))
                  .find("expected type ipip or gue"),
              std::string::npos);
}

TEST(CompiledImage, RoutesThatCannotBeTakenAreRefused) {
    Config config = configured("routes: [{ prefix: 10.0.0.0/8, interface: eth0 }]\n");
    config.routes[0].next_hops[0].interface = "eth9";
    EXPECT_NE(refusal(config).find("interface \"eth9\": expected one of this node"), std::string::npos)
        << refusal(config);
    config.routes[0].next_hops.assign(17, config::NextHop{});
    EXPECT_NE(refusal(config).find("17 next hops: expected 1 to 16"), std::string::npos) << refusal(config);
}

}  // namespace
}  // namespace sluice::compile
