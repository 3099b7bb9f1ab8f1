// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/unit/compile_image.h"

namespace sluice::compile {
namespace {

using config::Config;
using config::Mode;
using config::Service;

const image_service& service(const Snapshot& snapshot, const std::string& name) {
    return record<image_service>(snapshot, snapshot.header().services, snapshot.identities.services.at(name));
}

const image_backend& backend(const Snapshot& snapshot, const std::string& name, u32 position) {
    return record<image_backend>(snapshot, service(snapshot, name).backends, position);
}

const u16* ring(const Snapshot& snapshot, const std::string& name) {
    return &record<u16>(snapshot, service(snapshot, name).ring, 0);
}

std::string claimant(const Snapshot& snapshot, std::string_view vip, u16 port, u8 protocol = 6) {
    const naive::Packet packet{.source = addr("198.51.100.1"),
                               .destination = addr(vip),
                               .protocol = protocol,
                               .source_port = 1234,
                               .destination_port = port,
                               .tcp_flags = 2,
                               .icmp_type = 0,
                               .dscp = 0,
                               .port = nullptr};
    const u32 id = claim(snapshot, packet);
    return id == 0 ? "" : *snapshot.identities.services.name(id - 1);
}

const image_reverse* reverse(const Snapshot& snapshot, std::string_view address, u16 port, u8 protocol = 6) {
    const image_header& header = snapshot.header();
    if (header.reverse == 0) return nullptr;
    const struct tables t = tables_of(snapshot.lines);
    const struct address key = to_address(addr(address));
    return image_reverse_find(&t, header.reverse, header.reverse_mask, &key, port, protocol);
}

bool aliased(const Snapshot& snapshot, const std::string& name) {
    return service(snapshot, name).flags & SERVICE_ALIAS;
}

Service web(std::string name, std::string_view vip, config::PortRanges ports,
            std::optional<u16> backend_port) {
    Service service = test_service(std::move(name), vip, std::move(ports));
    service.backends = {test_backend("10.0.1.11", backend_port), test_backend("10.0.1.12", backend_port)};
    return service;
}

TEST(CompiledServices, AListedPortGoesBeforeAnyAndALongerVipBeforeAShorter) {
    Config config;
    config.services = {test_service("any", "192.0.2.10", {}),
                       test_service("web", "192.0.2.10", {{80, 80}, {443, 443}}),
                       test_service("net", "192.0.2.0/24", {{22, 22}, {80, 80}}),
                       test_service("one", "192.0.2.20", {{443, 443}})};
    const Snapshot snapshot = compiled(config);
    EXPECT_EQ(claimant(snapshot, "192.0.2.10", 80), "web");
    EXPECT_EQ(claimant(snapshot, "192.0.2.10", 443), "web");
    EXPECT_EQ(claimant(snapshot, "192.0.2.10", 22), "any");
    EXPECT_EQ(claimant(snapshot, "192.0.2.10", 0), "any");
    EXPECT_EQ(claimant(snapshot, "192.0.2.10", 65535), "any");
    EXPECT_EQ(claimant(snapshot, "192.0.2.10", 80, 17), "");
    EXPECT_EQ(claimant(snapshot, "192.0.2.20", 443), "one");
    EXPECT_EQ(claimant(snapshot, "192.0.2.20", 22), "net");
    EXPECT_EQ(claimant(snapshot, "192.0.2.21", 443), "");
    EXPECT_EQ(claimant(snapshot, "192.0.3.1", 22), "");
}

TEST(CompiledServices, RandomVipsAreClaimedAsAWalkOverTheServicesSays) {
    std::mt19937 random(9);
    for (int round = 0; round < 40; ++round) {
        Config config;
        std::set<std::tuple<config::Prefix, config::Protocol, bool>> taken;  // no two services claim the same
        for (int i = 0; i < 12; ++i) {
            const auto vip = net(fmt::format("10.0.0.{}/{}", random() % 4, 28 + random() % 5));
            const bool any = random() % 3 == 0;
            config::PortRanges ports;
            for (u16 at = static_cast<u16>(1 + random() % 10); !any && at < 40;
                 at = static_cast<u16>(at + 2 + random() % 12)) {
                const u16 hi = static_cast<u16>(at + random() % 4);
                ports.push_back({at, hi});
                at = hi;
            }
            Service service = test_service(fmt::format("s{}", i), vip.text(), ports);
            service.protocol = random() % 2 == 0 ? config::Protocol::tcp : config::Protocol::udp;
            if (taken.emplace(vip, service.protocol, any).second) config.services.push_back(service);
        }
        const Snapshot snapshot = compiled(config);
        for (int i = 0; i < 3000; ++i) {
            naive::Packet packet{.source = addr("10.9.9.9"),
                                 .destination = addr(fmt::format("10.0.0.{}", random() % 20)),
                                 .protocol = static_cast<u8>(random() % 2 == 0 ? 6 : 17),
                                 .source_port = 1,
                                 .destination_port = static_cast<u16>(random() % 45),
                                 .tcp_flags = 0,
                                 .icmp_type = 0,
                                 .dscp = 0,
                                 .port = nullptr};
            const Service* expected = naive::service_of(config, packet);
            const u32 found = claim(snapshot, packet);
            ASSERT_EQ(found == 0 ? "" : *snapshot.identities.services.name(found - 1),
                      expected ? expected->name : "")
                << packet.destination.text() << ":" << packet.destination_port;
        }
    }
}

TEST(CompiledServices, ARecordSaysWhatTheServiceIs) {
    Config config;
    Service dns = test_service("dns", "192.0.2.53", {{53, 53}});
    dns.protocol = config::Protocol::udp;
    dns.mode = Mode::dsr_gue;
    dns.hash = config::Hash::source;
    dns.flow_table = false;
    dns.tier = config::Tier::af_xdp;
    dns.tunnel.source4 = net("172.16.0.0/16");
    dns.tunnel.source6 = net("100::/64");
    dns.tunnel.port = 6081;
    dns.backends = {test_backend("2001:db8:2::12"), test_backend("10.0.2.11")};
    config.services = {dns};
    const Snapshot snapshot = compiled(config);
    const image_service& s = service(snapshot, "dns");
    EXPECT_EQ(s.mode, MODE_DSR_GUE);
    EXPECT_EQ(s.hash, HASH_SOURCE);
    EXPECT_EQ(s.flags, SERVICE_ENGINE);
    EXPECT_EQ(s.protocol, 17);
    EXPECT_EQ(s.backend_count, 2);
    EXPECT_EQ(s.source4_length, 112);
    EXPECT_EQ(s.source6_length, 64);
    EXPECT_EQ(s.tunnel_port, 6081);
    const struct address first = to_address(addr("10.0.2.11"));
    EXPECT_TRUE(address_equal(&backend(snapshot, "dns", 0).address, &first)) << "in order of their addresses";
    EXPECT_EQ(backend(snapshot, "dns", 0).flags, BACKEND_UP);
}

TEST(CompiledServices, EqualBackendsShareARingWhateverTheirOrder) {
    Config config;
    config.services = {web("one", "192.0.2.1", {{80, 80}}, 8080), web("two", "192.0.2.2", {{80, 80}}, 8080),
                       web("three", "192.0.2.3", {{80, 80}}, 8080)};
    std::swap(config.services[1].backends[0], config.services[1].backends[1]);
    config.services[2].backends[0].weight = 2;
    const Snapshot snapshot = compiled(config);
    EXPECT_EQ(service(snapshot, "one").ring_size, u32{MAGLEV_SIZE});
    EXPECT_EQ(service(snapshot, "one").ring, service(snapshot, "two").ring);
    EXPECT_NE(service(snapshot, "one").ring, service(snapshot, "three").ring);
    EXPECT_EQ(snapshot.statistics.rings, 2U);
}

TEST(CompiledServices, DrainingAndDisabledBackendsGetNoNewFlows) {
    Config config;
    config.services = {web("web", "192.0.2.1", {{80, 80}}, 8080)};
    config.services[0].backends.push_back(test_backend("10.0.1.13", 8080));
    config.services[0].backends[0].state = config::BackendState::draining;
    config.services[0].backends[1].state = config::BackendState::disabled;
    const Snapshot snapshot = compiled(config);
    EXPECT_EQ(backend(snapshot, "web", 0).flags, BACKEND_DRAINING);
    EXPECT_EQ(backend(snapshot, "web", 1).flags, 0);
    EXPECT_EQ(service(snapshot, "web").ring_size, 1U);
    EXPECT_EQ(ring(snapshot, "web")[0], 2) << "the only one that takes flows";
}

TEST(CompiledServices, WithNobodyToTakeFlowsTheRingSaysSo) {
    Config config;
    config.services = {web("down", "192.0.2.1", {{80, 80}}, 8080),
                       test_service("empty", "192.0.2.2", {{80, 80}})};
    for (config::Backend& one : config.services[0].backends) one.state = config::BackendState::disabled;
    const Snapshot snapshot = compiled(config);
    EXPECT_EQ(ring(snapshot, "down")[0], 0xffff);
    EXPECT_EQ(ring(snapshot, "empty")[0], 0xffff);
    EXPECT_EQ(service(snapshot, "empty").backend_count, 0);
}

TEST(CompiledServices, AReplyFromABackendOfOneVipTellsIt) {
    Config config;
    config.services = {web("fixed", "192.0.2.1", {{80, 80}}, 8080),
                       web("kept", "192.0.2.2", {{443, 444}}, {})};
    const Snapshot snapshot = compiled(config);
    EXPECT_FALSE(aliased(snapshot, "fixed"));
    EXPECT_FALSE(aliased(snapshot, "kept"));
    const image_reverse* fixed = reverse(snapshot, "10.0.1.11", 8080);
    ASSERT_NE(fixed, nullptr);
    const struct address vip = to_address(addr("192.0.2.1"));
    EXPECT_TRUE(address_equal(&fixed->vip, &vip));
    EXPECT_EQ(fixed->vip_port, 80);
    EXPECT_EQ(fixed->service, snapshot.identities.services.at("fixed"));
    const image_reverse* kept = reverse(snapshot, "10.0.1.12", 444);
    ASSERT_NE(kept, nullptr);
    EXPECT_EQ(kept->vip_port, 444);
    EXPECT_EQ(reverse(snapshot, "10.0.1.11", 80), nullptr);
    EXPECT_EQ(reverse(snapshot, "10.0.1.11", 8080, 17), nullptr);
}

TEST(CompiledServices, OneReverseRecordStandsForAllPorts) {
    Config config;
    config.services = {web("any", "192.0.2.1", {}, {})};
    const Snapshot snapshot = compiled(config);
    EXPECT_FALSE(aliased(snapshot, "any"));
    const image_reverse* all = reverse(snapshot, "10.0.1.11", 0);
    ASSERT_NE(all, nullptr);
    EXPECT_EQ(all->vip_port, 0);
}

TEST(CompiledServices, AReplyThatMayBelongToSeveralNeedsAnAlias) {
    Config config;
    config.services = {web("two-ports", "192.0.2.1", {{80, 80}, {443, 443}}, 8080),
                       web("prefix", "198.51.100.0/24", {{80, 80}}, 8181)};
    Service full = web("full", "192.0.2.5", {{80, 80}}, 9999);
    full.mode = Mode::fullnat;
    Service clear =
        web("clear", "192.0.2.6", {{80, 80}}, 9999);  // fullnat's replies go to the node, not to clients
    Service one = web("one", "192.0.2.7", {{80, 80}}, 7000);
    Service other = web("other", "192.0.2.8", {{80, 80}}, 7000);
    config.services.insert(config.services.end(), {full, clear, one, other});
    const Snapshot snapshot = compiled(config);
    for (const char* name : {"two-ports", "prefix", "full", "one", "other"})
        EXPECT_TRUE(aliased(snapshot, name)) << name;
    EXPECT_FALSE(aliased(snapshot, "clear"));
    EXPECT_EQ(reverse(snapshot, "10.0.1.11", 7000), nullptr);
    EXPECT_EQ(reverse(snapshot, "10.0.1.11", 8080), nullptr);
    EXPECT_NE(reverse(snapshot, "10.0.1.11", 9999), nullptr);
}

TEST(CompiledServices, AnyPortOverlapsWithEveryPortOfTheBackend) {
    Config config;
    config.services = {web("any", "192.0.2.1", {}, {}), web("web", "192.0.2.2", {{80, 80}}, 8080)};
    Snapshot snapshot = compiled(config);
    EXPECT_TRUE(aliased(snapshot, "any"));
    EXPECT_TRUE(aliased(snapshot, "web"));
    config.services[1].protocol = config::Protocol::udp;
    snapshot = compiled(config);
    EXPECT_FALSE(aliased(snapshot, "any"));
    EXPECT_FALSE(aliased(snapshot, "web"));
}

}  // namespace
}  // namespace sluice::compile
