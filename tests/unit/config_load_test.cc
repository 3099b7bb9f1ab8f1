// SPDX-License-Identifier: Apache-2.0
#include "control/config/loader.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>

#include "control/config/describe.h"
#include "control/config/document.h"
#include "control/config/file.h"
#include "control/config/support.h"

namespace sluice::config {
namespace {

const std::string root = SLUICE_SOURCE_ROOT;
const std::string example = root + "/config/sluice.example.yaml";

class Folder {
public:
    Folder() {
        char name[] = "/tmp/sluice-config-XXXXXX";
        path_ = mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::string put(const std::string& name, std::string_view text) const {
        std::ofstream(path_ + "/" + name) << text;
        return path_ + "/" + name;
    }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

TEST(ConfigLoad, TheExampleReadsAsWritten) {
    const auto loaded = load_file(example);
    ASSERT_TRUE(loaded) << loaded.error().message;
    const Config& config = *loaded;

    ASSERT_EQ(config.interfaces.size(), 5U);
    EXPECT_FALSE(config.interfaces[0].tiers);
    EXPECT_EQ(config.interfaces[0].vlan, std::vector<uint16_t>{200});
    EXPECT_EQ(config.interfaces[1].parent, "eth0");
    EXPECT_EQ(config.interfaces[1].tag, 200);
    EXPECT_EQ(config.interfaces[1].addresses->at(0).text(), "10.200.0.1/24");
    EXPECT_EQ(config.interfaces[3].dpdk->rx_queues, 2U);

    const Policy& policy = config.policy;
    EXPECT_EQ(policy.managed.at(0).text(), "10.0.0.0/8");
    EXPECT_EQ(policy.sets.at("bogons").file, root + "/config/bogons.txt");
    EXPECT_EQ(policy.sets.at("bogons").prefixes.size(), 8U);
    EXPECT_EQ(policy.sets.at("office").prefixes[1].text(), "2001:db8:1::/48");
    ASSERT_EQ(policy.rules.size(), 9U);
    EXPECT_EQ(policy.rules[2].ports, (PortRanges{{80, 80}, {443, 443}, {8000, 8100}}));
    EXPECT_EQ(policy.rules[3].tcp_flags, (TcpFlags{2, 16}));
    EXPECT_EQ(policy.rules[3].rate->packets, 100.0);
    EXPECT_EQ(policy.rules[3].rate->burst, 200U);
    EXPECT_EQ(policy.rules[3].rate->per, RatePer::source);
    EXPECT_EQ(policy.rules[5].when->schedule, (Schedule{0x1f, 480, 1080}));
    EXPECT_EQ(policy.rules[7].icmp_types, (PortRanges{{0, 0}, {8, 8}}));
    EXPECT_FALSE(policy.rules[8].stateful);

    ASSERT_EQ(config.services.size(), 3U);
    const Service& web = config.services[0];
    EXPECT_EQ(web.where.text(), example + ":59:5: services[0]");
    EXPECT_EQ(web.backends.at(1).server_id, 1022U);
    EXPECT_EQ(web.health_check->interval, Duration(2000));
    EXPECT_EQ(web.limits.new_connections, 50000.0);
    const Service& dns = config.services[1];
    EXPECT_EQ(dns.protocol, Protocol::udp);
    EXPECT_EQ(dns.tunnel.source4->text(), "172.16.0.0/16");
    EXPECT_EQ(dns.backends.at(1).address.text(), "2001:db8:2::12");
    EXPECT_FALSE(dns.backends.at(1).port);

    ASSERT_EQ(config.routes.size(), 3U);
    EXPECT_EQ(config.routes[0].next_hops.at(0).mac->text(), "00:00:de:ad:be:af");
    EXPECT_FALSE(config.routes[1].next_hops.at(0).via);
    EXPECT_EQ(config.routes[2].next_hops.at(1).weight, 2U);
    EXPECT_EQ(config.timeouts.tcp_established, Duration(3'600'000));
    EXPECT_EQ(config.qos->classes.size(), 4U);
    EXPECT_EQ(config.metrics.listen.text(), "0.0.0.0:8082");
}

TEST(ConfigLoad, ABareVersionGivesTheDefaults) {
    const auto config = load_text("version: 1", "f");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_TRUE(config->interfaces.empty());
    EXPECT_EQ(config->policy, Policy{});
    EXPECT_EQ(config->tables, Tables{});
    EXPECT_EQ(config->control.socket, "/run/sluice/sluice.sock");
}

TEST(ConfigLoad, SectionsCanBeMappingsInEitherStyle) {
    const auto flow =
        load_text("version: 1\nservices: [{name: a, vip: 10.0.0.1, protocol: udp, ports: 53}]", "f");
    const auto block =
        load_text("version: 1\nservices:\n- name: a\n  vip: 10.0.0.1\n  protocol: udp\n  ports: '53'\n", "f");
    ASSERT_TRUE(flow && block);
    EXPECT_EQ(flow->services, block->services);
}

TEST(ConfigLoad, PortListsAreMergedAndInOrder) {
    const auto config = load_text(
        "version: 1\nservices: [{name: a, vip: 10.0.0.1, protocol: udp, ports: \"90-100, 5,95-110,111\"}]",
        "f");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->services[0].ports.ranges, (PortRanges{{5, 5}, {90, 111}}));
}

TEST(ConfigLoad, ASetFileThatIsMissingIsAnErrorAtItsKey) {
    const Folder folder;
    const std::string path = folder.put("c.yaml", "version: 1\npolicy: { sets: { x: { file: no.txt } } }\n");
    EXPECT_EQ(load_file(path).error().message,
              path + ":2:30: policy.sets.x.file: value \"no.txt\": expected a file that can be read: " +
                  folder.path() + "/no.txt: No such file or directory");
}

TEST(ConfigLoad, ASetFilesFaultsNameItsLines) {
    const Folder folder;
    const std::string path = folder.put("c.yaml", "version: 1\npolicy: { sets: { x: { file: set.txt } } }\n");
    const std::string set = folder.put("set.txt", "# head\n10.0.0.0/8 # ten\r\n\n  10.0.0.0/33\n::1 ::2\n");
    const std::string expected = "expected an IPv4 or IPv6 address or prefix such as 10.0.0.0/8";
    EXPECT_EQ(load_file(path).error().message, set + ":4:3: value \"10.0.0.0/33\": " + expected + "\n" + set +
                                                   ":5:1: value \"::1 ::2\": " + expected);
}

TEST(ConfigLoad, AMillionPrefixesLoadInTwoSecondsAndOneMoreIsRefused) {
    std::string text;
    for (unsigned i = 0; i < max_set_prefixes; ++i) {
        text += fmt::format("{}.{}.{}.{}\n", 10 + (i >> 24), i >> 16 & 255, i >> 8 & 255, i & 255);
    }
    Problems problems("f");
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(parse_prefix_list(text, "set", problems).size(), max_set_prefixes);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
    EXPECT_TRUE(problems.empty());
    parse_prefix_list(text + "1.2.3.4\n", "set", problems);
    EXPECT_EQ(problems.status().error().message, "set:1000001:1: expected at most 1000000 prefixes");
}

TEST(ConfigLoad, WhatIsNoOrdinaryFileIsRefusedWithoutWaiting) {
    const Folder folder;
    const std::string pipe = folder.path() + "/pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(load_file(pipe).error().message, pipe + ": expected a regular file");
    EXPECT_EQ(load_file(folder.path()).error().message, folder.path() + ": expected a regular file");
    EXPECT_EQ(load_file("/nonexistent").error().message, "/nonexistent: No such file or directory");
    const std::string huge = folder.put("huge", "");
    ASSERT_EQ(truncate(huge.c_str(), off_t{1} << 40), 0);
    EXPECT_EQ(load_file(huge).error().message, huge + ": 1099511627776 bytes: expected at most 16777216");
}

TEST(ConfigLoad, AMutatedExampleIsReadOrRefusedWithAPlace) {
    const auto text = read_text_file(example, max_document_bytes);
    ASSERT_TRUE(text);
    std::mt19937 random(1);
    const auto below = [&](size_t limit) { return random() % limit; };
    constexpr std::string_view pieces[] = {"{",   "}",   "[",    "]", ": ",    "- ",       "\"",  ",", "\n",
                                           "&a ", "*a ", "!!x ", "|", ">",     "? ",       "%",   "#", "0",
                                           "-1",  "\t",  "'",    "~", "---\n", "\xc3\xbc", "\xff"};
    int refused = 0;
    for (int round = 0; round < 3000; ++round) {
        std::string mutated = *text;
        for (size_t change = 0; change <= below(3); ++change) {
            const size_t at = below(mutated.size());
            switch (below(4)) {
                case 0: mutated.erase(at, below(40)); break;
                case 1: mutated.insert(at, pieces[below(std::size(pieces))]); break;
                case 2: mutated[at] = static_cast<char>(below(256)); break;
                default: mutated.insert(at, mutated.substr(below(mutated.size()), below(60)));
            }
        }
        const auto config = load_text(mutated, example);
        if (config) continue;
        ++refused;
        EXPECT_TRUE(config.error().message.starts_with(example + ":")) << config.error().message;
    }
    EXPECT_GT(refused, 500);
}

TEST(ConfigSupport, TheSampleIsSupported) {
    const auto config = load_file(root + "/config/sluice.yaml");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_TRUE(check_supported(*config)) << check_supported(*config).error().message;
}

std::string refusal(std::string_view rest) {
    const auto config = load_text("version: 1\n" + std::string(rest), "f");
    EXPECT_TRUE(config) << config.error().message;
    if (!config) return "";
    const Status status = check_supported(*config);
    return status ? "" : status.error().message;
}

TEST(ConfigSupport, AnUnbuiltValueIsRefusedWithItsPlaceAndWhatIsBuilt) {
    EXPECT_EQ(refusal("services: [{ name: s, vip: ::1, protocol: tcp, ports: any, mode: dsr_gre }]"),
              "f:2:66: services[0].mode: value \"dsr_gre\": not supported by this release (built: nat, "
              "fullnat, dsr_l2, dsr_ipip, dsr_gue, proxy)");
    EXPECT_EQ(refusal("services: [{ name: s, vip: ::1, protocol: tcp, ports: any, mode: proxy, limits: { "
                      "connections: 1 },"
                      " scheduler: least_connections }]"),
              "");
    EXPECT_NE(
        refusal("services: [{ name: s, vip: ::1, protocol: tcp, ports: any, limits: { connections: 1 } }]"),
        "");
    EXPECT_NE(refusal("services: [{ name: s, vip: ::1, protocol: tcp, ports: any, scheduler: round_robin }]"),
              "");
    EXPECT_EQ(refusal("policy: { sets: { x: { fqdn: [a.example] } } }"), "");
    EXPECT_EQ(refusal("interfaces: [{ name: e, tiers: [xdp, epoll] }]"), "");
}

TEST(ConfigSupport, AFeatureStatedAsOffIsTaken) {
    EXPECT_EQ(
        refusal("interception: { enabled: false, inbound: 1, outbound: 2 }\ndiagnostics: { enabled: false }\n"
                "workers: { numa: auto }\ninterfaces: [{ name: e, tiers: auto }]\n"
                "services: [{ name: s, vip: ::1, protocol: tcp, ports: any, syn_cookies: off, tier: auto }]\n"
                "policy: { rules: [{ name: r, action: drop, log: off }] }"),
        "");
}

TEST(ConfigSupport, EveryLimitationIsAKeyOfTheReference) {
    const std::string reference = describe();
    for (const Limitation& limitation : limitations()) {
        std::string key = limitation.key;
        if (key.ends_with("[]")) key.resize(key.size() - 2);
        key = key.substr(key.rfind('.') == std::string::npos ? 0 : key.rfind('.') + 1);
        EXPECT_NE(reference.find("\n| `" + key + "` |"), std::string::npos) << limitation.key;
    }
}

TEST(ConfigReference, IsWhatTheDocumentSays) {
    const auto document = read_text_file(root + "/docs/configuration.md", max_document_bytes);
    ASSERT_TRUE(document) << document.error().message;
    EXPECT_EQ(*document, describe()) << "write it anew: sluicectl config reference > docs/configuration.md";
}

}  // namespace
}  // namespace sluice::config
