// SPDX-License-Identifier: Apache-2.0
//
// Faults that only show where two keys are seen together.
#include <gtest/gtest.h>

#include "control/config/loader.h"

namespace sluice::config {
namespace {

std::string error_of(std::string_view rest) {
    const auto config = load_text("version: 1\n" + std::string(rest), "f");
    return config ? "" : config.error().message;
}

std::string services(std::string_view first, std::string_view second) {
    return error_of(fmt::format("services:\n - {{ name: a, {} }}\n - {{ name: b, {} }}\n", first, second));
}

std::string service(std::string_view more) {
    return error_of(fmt::format("services:\n - {{ name: s, {} }}", more));
}

std::string rule(std::string_view more) {
    return error_of(fmt::format("policy:\n rules: [{{ name: r, {} }}]", more));
}

TEST(ConfigValidate, TwoServicesOnOnePortNameBothPlaces) {
    EXPECT_EQ(services("vip: 192.0.2.1, protocol: tcp, ports: \"80\"",
                       "vip: 192.0.2.1, protocol: tcp, ports: \"80\""),
              "f:4:53: services[1].ports: value \"80\": expected ports that service \"a\" (f:3:4) does not "
              "claim on "
              "192.0.2.1 already");
    EXPECT_EQ(
        services("vip: 10.0.0.0/8, protocol: udp, ports: any", "vip: 10.1.0.0/8, protocol: udp, ports: any"),
        "f:4:54: services[1].ports: value \"any\": expected ports that service \"a\" (f:3:4) does not claim "
        "on "
        "10.0.0.0/8 already");
    EXPECT_NE(
        services("vip: ::1, protocol: tcp, ports: \"80-90\"", "vip: ::1, protocol: tcp, ports: \"1,85,100\""),
        "");
}

TEST(ConfigValidate, OverlapsThatAnOrderSettlesAreFine) {
    EXPECT_EQ(
        services("vip: 192.0.2.1, protocol: tcp, ports: any", "vip: 192.0.2.1, protocol: tcp, ports: \"80\""),
        "");
    EXPECT_EQ(services("vip: 192.0.2.0/24, protocol: tcp, ports: \"80\"",
                       "vip: 192.0.2.1, protocol: tcp, ports: \"80\""),
              "");
    EXPECT_EQ(services("vip: 192.0.2.1, protocol: udp, ports: \"53\"",
                       "vip: 192.0.2.1, protocol: tcp, ports: \"53\""),
              "");
    EXPECT_EQ(services("vip: 192.0.2.1, protocol: tcp, ports: \"80-89\"",
                       "vip: 192.0.2.1, protocol: tcp, ports: \"90\""),
              "");
}

TEST(ConfigValidate, ClaimsBeyondTheNeighbourInOrderAreFoundToo) {
    const std::string error = error_of(
        "services:\n"
        " - { name: a, vip: 192.0.2.1, protocol: tcp, ports: \"1-1000\" }\n"
        " - { name: b, vip: 192.0.2.2, protocol: tcp, ports: \"5\" }\n"
        " - { name: c, vip: 192.0.2.1, protocol: tcp, ports: \"2000,900\" }\n");
    EXPECT_EQ(error,
              "f:5:53: services[2].ports: value \"2000,900\": expected ports that service \"a\" (f:3:4) does "
              "not claim on "
              "192.0.2.1 already");
}

TEST(ConfigValidate, NamesAreUnique) {
    EXPECT_EQ(error_of("interfaces: [{ name: e }, { name: e }]"),
              "f:2:35: interfaces[1].name: value \"e\": expected each interface once");
    EXPECT_EQ(error_of("policy: { rules: [{ name: r, action: drop }, { name: r, action: drop }] }"),
              "f:2:54: policy.rules[1].name: value \"r\": expected each rule's name once");
}

TEST(ConfigValidate, ReferencesHaveToExist) {
    EXPECT_EQ(error_of("policy: { sets: { office: { prefixes: [] } }, rules: [{ name: r, from: "
                       "[\"set:ofice\"], action: drop }] }"),
              "f:2:73: policy.rules[0].from[0]: value \"set:ofice\": expected the name of a set under "
              "policy.sets (did you "
              "mean \"office\"?)");
    EXPECT_EQ(rule("interface: eth9, action: drop"),
              "f:3:32: policy.rules[0].interface: value \"eth9\": expected the name of an interface under "
              "interfaces");
    EXPECT_EQ(
        rule("service: web, action: drop"),
        "f:3:30: policy.rules[0].service: value \"web\": expected the name of a service under services");
    EXPECT_EQ(
        error_of("routes: [{ prefix: 10.0.0.0/8, interface: eth9 }]"),
        "f:2:43: routes[0].interface: value \"eth9\": expected the name of an interface under interfaces");
    EXPECT_EQ(error_of("routes: [{ prefix: 10.0.0.0/8 }]"),
              "f:2:10: routes[0].interface: missing: expected the name of an interface under interfaces");
}

TEST(ConfigValidate, ATagThatTheParentAcceptsIsAnInterface) {
    const std::string rules = "policy: { rules: [{ name: r, interface: eth0.7, action: drop }] }\n";
    EXPECT_EQ(error_of(rules + "interfaces: [{ name: eth0, vlan: [7] }]"), "");
    EXPECT_EQ(error_of(rules + "interfaces: [{ name: eth0 }, { name: eth0.7 }]"), "");
    EXPECT_NE(error_of(rules + "interfaces: [{ name: eth0, vlan: [8] }]"), "");
}

TEST(ConfigValidate, ASubInterfaceTakesNoKeysOfItsParent) {
    EXPECT_EQ(error_of("interfaces: [{ name: e }, { name: e.5, queues: 2 }]"),
              "f:2:48: interfaces[1].queues: value \"2\": expected nothing: a sub-interface takes name and "
              "addresses, the "
              "rest is its parent's");
    EXPECT_EQ(error_of("interfaces: [{ name: e.5, queues: 2 }]"), "")
        << "without a parent it is a device of its own";
}

TEST(ConfigValidate, RequireAndTiersMustAgree) {
    EXPECT_EQ(error_of("interfaces: [{ name: e, tiers: [xdp], require: [af_xdp_zero_copy] }]"),
              "f:2:32: interfaces[0].tiers: value \"[...]\": expected af_xdp among the tiers, as require "
              "asks for it");
    EXPECT_EQ(error_of("interfaces: [{ name: e, require: [dpdk] }]"),
              "f:2:34: interfaces[0].require: value \"[...]\": expected no dpdk for an interface without a "
              "dpdk section");
}

TEST(ConfigValidate, BackendsMustBeOfAFamilyThatTheModeCanExpress) {
    const std::string vip4 = "vip: 192.0.2.1, protocol: tcp, ports: any, ";
    const std::string vip6 = "vip: \"::1\", protocol: tcp, ports: any, ";
    const std::string on4 = ", backends: [{ address: 10.0.0.1 }]";
    const std::string on6 = ", backends: [{ address: \"::2\" }]";
    EXPECT_EQ(service(vip4 + "mode: nat" + on6),
              "f:3:91: services[0].backends[0].address: value \"::2\": expected an address of the VIP's "
              "family, as the mode "
              "does not translate between families");
    for (const std::string mode : {"nat", "fullnat", "dsr_l2"}) {
        EXPECT_EQ(service(vip4 + "mode: " + mode + on4), "");
        EXPECT_NE(service(vip4 + "mode: " + mode + on6), "");
        EXPECT_NE(service(vip6 + "mode: " + mode + on4), "");
        EXPECT_EQ(service(vip6 + "mode: " + mode + on6), "");
    }
    EXPECT_EQ(service(vip4 + "mode: dsr_ipip" + on6), "");
    EXPECT_NE(service(vip6 + "mode: dsr_ipip" + on4), "");
    EXPECT_EQ(service(vip6 + "mode: dsr_gue" + on4), "");
}

TEST(ConfigValidate, BackendsAreGivenOnceAndKeepTheirPortInDsr) {
    const std::string start = "vip: 192.0.2.1, protocol: tcp, ports: \"80\", ";
    EXPECT_EQ(service(start + "backends: [{ address: 10.0.0.1 }, { address: 10.0.0.1, weight: 2 }]"),
              "f:3:104: services[0].backends[1].address: value \"10.0.0.1\": expected each backend of a "
              "service once");
    EXPECT_EQ(service(start + "backends: [{ address: 10.0.0.1, port: 1 }, { address: 10.0.0.1, port: 2 }]"),
              "");
    EXPECT_EQ(service(start + "mode: dsr_l2, backends: [{ address: 10.0.0.1, port: 80 }]"), "");
    EXPECT_NE(service(start + "mode: dsr_l2, backends: [{ address: 10.0.0.1, port: 81 }]"), "");
}

TEST(ConfigValidate, ServiceKeysThatContradictEachOther) {
    const std::string tcp = "vip: 192.0.2.1, protocol: tcp, ports: \"80\", ";
    EXPECT_NE(service(tcp + "hash: quic_connection_id"), "");
    EXPECT_NE(service(tcp + "mode: dsr_l2, syn_cookies: always"), "");
    EXPECT_EQ(service(tcp + "mode: dsr_l2, syn_cookies: auto"), "");
    EXPECT_NE(service(tcp + "mode: proxy, tier: xdp"), "");
    EXPECT_EQ(service(tcp + "health_check: { interval: 1s, timeout: 2s }"),
              "f:3:98: services[0].health_check.timeout: value \"2s\": expected a timeout that is at most "
              "the interval");
    EXPECT_NE(service(tcp + "health_check: { type: tcp, path: /x }"), "");
}

TEST(ConfigValidate, RuleKeysThatContradictEachOther) {
    EXPECT_EQ(rule("action: drop, protocol: icmp, ports: \"80\""),
              "f:3:58: policy.rules[0].ports: value \"80\": expected no ports for a protocol other than tcp, "
              "udp and sctp");
    EXPECT_EQ(rule("action: rate_limit"),
              "f:3:10: policy.rules[0].rate: missing: expected the rate of a rate_limit rule");
    EXPECT_NE(rule("action: drop, protocol: udp, tcp_flags: syn"), "");
    EXPECT_NE(rule("action: drop, protocol: tcp, icmp_types: \"8\""), "");
    EXPECT_NE(rule("action: drop, icmp_types: \"8\", ports: \"80\""), "");
    EXPECT_EQ(rule("action: drop, protocol: tcp, except: { ports: \"80\", from: [10.0.0.0/8] }"), "");
    EXPECT_NE(rule("action: drop, protocol: icmp, except: { ports: \"80\" }"), "");
    EXPECT_NE(rule("action: drop, except: { to: [\"set:nowhere\"] }"), "");
    EXPECT_EQ(rule("action: reject, dry_run: true"), "");
    EXPECT_NE(rule("action: rate_limit, rate: { packets: 1/s }, dry_run: true"), "");
    EXPECT_NE(rule("action: drop, rate: { packets: 1/s }"), "");
    EXPECT_NE(rule("action: rate_limit, rate: { packets: 1/s, bytes: 1/s }"), "");
    EXPECT_NE(rule("action: rate_limit, rate: { burst: 1 }"), "");
    EXPECT_NE(rule("action: drop, set_dscp: 1"), "");
    EXPECT_NE(rule("action: evaluate"), "");
    EXPECT_NE(rule("action: allow, when: { max_connections_per_source: 1 }"), "");
    EXPECT_EQ(rule("action: allow, protocol: 6, tcp_flags: syn, ports: \"80\""), "");
}

TEST(ConfigValidate, ASetHasOneSource) {
    EXPECT_EQ(error_of("policy: { sets: { x: {} } }"),
              "f:2:22: policy.sets.x: expected exactly one of file, prefixes and fqdn");
    EXPECT_NE(error_of("policy: { sets: { x: { file: f, prefixes: [] } } }"), "");
    EXPECT_EQ(error_of("policy: { sets: { x: { prefixes: [] } } }"), "");
}

TEST(ConfigValidate, SetsOfDomainNamesAreForDestinationsAndStandAlone) {
    const auto policy = [](const std::string& match) {
        return error_of(
            "policy: { sets: { d: { fqdn: [a.example, \"*.b.example\"] }, p: { prefixes: [] } },"
            " rules: [{ name: r, " +
            match + ", action: allow }] }");
    };
    EXPECT_EQ(policy("to: [\"set:d\"]"), "");
    EXPECT_NE(policy("from: [\"set:d\"]").find("for destinations"), std::string::npos);
    EXPECT_NE(policy("except: { from: [\"set:d\"] }").find("for destinations"), std::string::npos);
    EXPECT_NE(policy("except: { to: [\"set:d\"] }").find("a rule before this one"), std::string::npos);
    EXPECT_NE(policy("to: [\"set:d\", 10.0.0.0/8]").find("alone"), std::string::npos);
    EXPECT_NE(policy("to: [\"set:d\", \"set:p\"]").find("alone"), std::string::npos);
    for (const char* name : {"", "*.", "a..b", ".a", "a b", "*.*.a", "http://a"})
        EXPECT_NE(error_of("policy: { sets: { d: { fqdn: [\"" + std::string(name) + "\"] } } }"), "") << name;
}

TEST(ConfigValidate, RoutesAndNeighbours) {
    const std::string e = "interfaces: [{ name: e }]\n";
    EXPECT_EQ(error_of(e + "routes: [{ prefix: ::/0, interface: e }, { prefix: ::/0, interface: e }]"),
              "f:3:52: routes[1].prefix: value \"::/0\": expected each prefix once (several next hops go "
              "under next_hops)");
    EXPECT_NE(error_of(e + "routes: [{ prefix: ::/0, via: 10.0.0.1, interface: e }]"), "");
    EXPECT_NE(error_of(e + "routes: [{ prefix: ::/0, interface: e, next_hops: [{ interface: e }] }]"), "");
    EXPECT_NE(error_of(e + "routes: [{ prefix: ::/0, next_hops: [{ interface: e }, { interface: e }] }]"),
              "");
    EXPECT_NE(error_of(e + "neighbors: [{ address: ::1, mac: \"02:00:00:00:00:01\", interface: e },"
                           " { address: ::1, mac: \"02:00:00:00:00:02\", interface: e }]"),
              "");
    EXPECT_NE(error_of("tunnels: [{ type: gue, address: ::1 }, { type: gue, address: ::1 }]"), "");
    EXPECT_EQ(error_of("interception: { inbound: 4140 }"),
              "f:2:15: interception.outbound: missing: expected a port other than that for inbound");
}

TEST(ConfigValidate, QosSharesMakeAtMostAHundred) {
    EXPECT_NE(error_of("qos: { classes: [{ priority: 0, share: 60 }, { priority: 1, share: 60 }] }"), "");
    EXPECT_NE(error_of("qos: { classes: [{ priority: 0, share: 6 }, { priority: 0, share: 6 }] }"), "");
    EXPECT_EQ(error_of("qos: { classes: [{ priority: 0, share: 60 }, { priority: 1, share: 40 }] }"), "");
}

TEST(ConfigValidate, AddressesThatNoPacketCanHaveAreRefused) {
    for (const char* vip : {"224.0.0.1", "255.255.255.255", "0.0.0.0", "ff02::1", "'::'"})
        EXPECT_NE(service(fmt::format("vip: {}, protocol: tcp, ports: any", vip)).find("s[0].vip"),
                  std::string::npos)
            << vip;
    EXPECT_EQ(service("vip: 0.0.0.0/0, protocol: tcp, ports: any"), "");
    for (const char* address : {"239.1.1.1", "0.0.0.0", "ff05::2", "'::'"})
        EXPECT_NE(
            service(fmt::format("vip: 192.0.2.1, protocol: tcp, ports: any, backends: [{{ address: {} }}]",
                                address))
                .find("backends[0].address"),
            std::string::npos)
            << address;
}

TEST(ConfigValidate, ABackendIsThereOnceHoweverItsPortIsWritten) {
    const auto backends = [](std::string_view ports, std::string_view second) {
        return service(
            fmt::format("vip: 192.0.2.1, protocol: tcp, ports: \"{}\", backends: [{{ address: "
                        "10.0.0.1 }}, {{ address: 10.0.0.1, port: {} }}]",
                        ports, second));
    };
    EXPECT_NE(backends("80", "80").find("services[0].backends[1].port"), std::string::npos);
    EXPECT_NE(backends("70-90", "80"), "");
    EXPECT_EQ(backends("80", "8080"), "");
}

TEST(ConfigValidate, TheConnectionTableIsForLoopbackAndHasAPortOfItsOwn) {
    EXPECT_NE(error_of("diagnostics: { listen: \"0.0.0.0:4100\" }").find("f:2:24: diagnostics.listen"),
              std::string::npos);
    EXPECT_EQ(error_of("diagnostics: { listen: \"[::1]:4100\" }"), "");
    EXPECT_NE(error_of("metrics: { listen: \"127.0.0.1:4100\" }").find("f:2:20: metrics.listen"),
              std::string::npos);
}

TEST(ConfigValidate, MoreInterfacesThanPortNumbersAreTold) {
    std::string text = "interfaces:\n";
    for (int i = 0; i < 64; ++i) text += fmt::format(" - {{ name: i{} }}\n", i);
    EXPECT_EQ(error_of(text), "f:66:4: interfaces[63]: expected at most 63 interfaces, tags included");
}

}  // namespace
}  // namespace sluice::config
