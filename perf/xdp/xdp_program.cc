// SPDX-License-Identifier: Apache-2.0
//
// What the XDP program costs per packet: BPF_PROG_TEST_RUN, thread CPU time, scenarios interleaved round by
// round, each round's own floor subtracted.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "perf/common/measure.h"
#include "perf/xdp/program_under_test.h"

namespace sluice::perf {
namespace {

constexpr u32 action_drop = 1;
constexpr u32 action_pass = 2;
constexpr u32 action_tx = 3;

struct XdpScenario {
    std::string name;
    std::string config;
    u8 family = 4;
    bool foreign = false;
    u32 bytes = 0;  // of the frame; 0: the shortest that holds the headers
    u32 flows = 1;
    u32 table = 1 << 20;
    bool fill = false;        // the table is filled with other flows first
    bool sequential = false;  // every packet a flow not seen for long
    bool encapsulates = false;
    u32 action = action_tx;
};

std::string rules_text(int count, const std::string& last) {
    std::string text =
        "policy:\n  default: allow\n  sets:\n    bogons: { prefixes: [198.18.0.0/15, 240.0.0.0/4, "
        "\"3fff::/20\"] }\n  rules:\n"
        "    - { name: no-bogons, from: [\"set:bogons\"], action: drop }\n";
    for (int i = 1; i < count - 1; i++)
        text += fmt::format(
            "    - {{ name: r{0}, from: [10.{1}.{2}.0/24], protocol: tcp, ports: \"{3}\", action: drop }}\n",
            i, i / 250 % 250, i % 250, 1000 + i % 30000);
    return text +
           fmt::format(
               "    - {{ name: web, to: [192.0.2.0/24], protocol: tcp, ports: \"80\", action: {} }}\n", last);
}

std::string config_text(const std::string& mode, int rules, const std::string& last = "allow") {
    std::string text =
        "version: 1\ninterfaces: [{ name: lo, mac: \"02:00:00:00:00:01\", addresses: [192.0.2.254/24, "
        "\"2001:db8::fe/64\"] }]\n";
    text += rules_text(rules, last);
    text += fmt::format(
        "services:\n  - name: web\n    vip: 192.0.2.10\n    protocol: tcp\n    ports: \"80\"\n    mode: {}\n",
        mode);
    if (mode == "dsr_ipip") text += "    tunnel: { source4: 172.16.0.0/16 }\n";
    text += "    backends:\n";
    for (int i = 1; i <= 16; i++)
        text += fmt::format("      - {{ address: 10.0.1.{}, port: {} }}\n", i,
                            mode.starts_with("dsr") ? 80 : 8080);
    text += fmt::format(
        "  - name: web6\n    vip: \"2001:db8::10\"\n    protocol: tcp\n    ports: \"80\"\n    mode: nat\n    "
        "backends:\n");
    for (int i = 1; i <= 16; i++)
        text += fmt::format("      - {{ address: \"2001:db8:1::{}\", port: 8080 }}\n", i);
    return text +
           "routes:\n  - { prefix: 0.0.0.0/0, via: 192.0.2.1, mac: \"02:00:00:00:00:02\", interface: lo }\n"
           "  - { prefix: \"::/0\", via: \"2001:db8::1\", mac: \"02:00:00:00:00:02\", interface: lo }\n"
           "tables: { flows: 1048576 }\n";
}

std::vector<u8> frame_of(const XdpScenario& scenario) {
    const size_t least = scenario.family == 4 ? 64 : 78;
    std::vector<u8> frame(std::max<size_t>(scenario.bytes, least), 0);
    const u8 link[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0};
    std::copy(link, link + 14, frame.begin());
    size_t l4 = 34;
    if (scenario.family == 4) {
        const u8 ip[20] = {0x45, 0, 0, 50, 0, 1, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 192, 0, 2, 10};
        std::copy(ip, ip + 20, frame.begin() + 14);
        frame[16] = static_cast<u8>((frame.size() - 14) >> 8);
        frame[17] = static_cast<u8>(frame.size() - 14);
        if (scenario.foreign) frame[30] = 100;
    } else {
        frame[12] = 0x86;
        frame[13] = 0xdd;
        const u8 ip[40] = {0x60, 0, 0, 0, 0,    24, 6,   64,   0x20, 1, 0xd, 0xb8, 9, 0, 0, 0, 0, 0, 0, 0,
                           0,    0, 0, 0, 0x20, 1,  0xd, 0xb8, 0,    0, 0,   0,    0, 0, 0, 0, 0, 0, 0, 0x10};
        std::copy(ip, ip + 40, frame.begin() + 14);
        l4 = 54;
    }
    const u8 tcp[20] = {0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0x20, 0, 0x12, 0x34, 0, 0};
    std::copy(tcp, tcp + 20, frame.begin() + static_cast<long>(l4));
    return frame;
}

std::vector<XdpScenario> scenarios() {
    const std::string nat = config_text("nat", 10);
    const std::string ipip = config_text("dsr_ipip", 10);
    std::vector<XdpScenario> list;
    list.push_back({.name = "nat known, 1 flow", .config = nat});
    list.push_back({.name = "nat known, 65,536 flows", .config = nat, .flows = 65536, .table = 1 << 17});
    list.push_back({.name = "nat known, 65,536 of 1 M slots", .config = nat, .flows = 65536});
    list.push_back(
        {.name = "nat known, 65,536 flows, table full", .config = nat, .flows = 65536, .fill = true});
    list.push_back({.name = "nat known, 524,288 flows", .config = nat, .flows = 524288});
    list.push_back({.name = "nat new flow, table full",
                    .config = nat,
                    .flows = 1 << 24,
                    .fill = true,
                    .sequential = true});
    list.push_back({.name = "nat new flow, 10,000 rules",
                    .config = config_text("nat", 10000),
                    .flows = 1 << 24,
                    .fill = true,
                    .sequential = true});
    list.push_back({.name = "nat known IPv6, 1 flow", .config = nat, .family = 6});
    list.push_back({.name = "nat known IPv6, 65,536 flows",
                    .config = nat,
                    .family = 6,
                    .flows = 65536,
                    .table = 1 << 17});
    list.push_back({.name = "dsr_ipip known, 1 flow", .config = ipip, .encapsulates = true});
    list.push_back({.name = "dsr_ipip known, 65,536 flows",
                    .config = ipip,
                    .flows = 65536,
                    .table = 1 << 17,
                    .encapsulates = true});
    list.push_back({.name = "dsr_ipip new flow, table full",
                    .config = ipip,
                    .flows = 1 << 24,
                    .fill = true,
                    .sequential = true,
                    .encapsulates = true});
    list.push_back(
        {.name = "foreign, pass", .config = nat, .foreign = true, .flows = 65536, .action = action_pass});
    list.push_back({.name = "nat known, 1 flow, 512 bytes", .config = nat, .bytes = 512});
    list.push_back({.name = "nat known, 1 flow, 1,500 bytes", .config = nat, .bytes = 1500});
    list.push_back({.name = "fullnat known, 1 flow", .config = config_text("fullnat", 10)});
    list.push_back({.name = "dsr_l2 known, 1 flow", .config = config_text("dsr_l2", 10)});
    list.push_back({.name = "denied by policy, 65,536 sources",
                    .config = config_text("nat", 10, "drop"),
                    .flows = 65536,
                    .action = action_drop});
    return list;
}

struct Bench {
    XdpScenario scenario;
    std::unique_ptr<ProgramUnderTest> program;
    std::unique_ptr<Front> front;
    std::unique_ptr<Front> floor;
};

Result<Bench> prepare(const Paths& paths, const XdpScenario& scenario) {
    Bench bench{.scenario = scenario, .program = nullptr, .front = nullptr, .floor = nullptr};
    auto program = ProgramUnderTest::create(paths, scenario.config, scenario.table);
    if (!program) return program.error();
    bench.program = std::move(*program);
    auto front = Front::create(paths, bench.program->fd());
    auto floor = Front::create(paths, -1);
    if (!front) return front.error();
    if (!floor) return floor.error();
    bench.front = std::move(*front);
    bench.floor = std::move(*floor);
    const std::vector<u8> frame = frame_of(scenario);
    u32 action = 0;
    if (scenario.fill) {
        bench.front->set_packet(frame, 1 << 24, true, false);
        if (auto filled = bench.front->run(scenario.table + scenario.table / 2, &action); !filled)
            return filled.error();
    }
    bench.front->set_packet(frame, scenario.flows, scenario.sequential, false);
    bench.floor->set_packet(frame, scenario.flows, scenario.sequential, scenario.encapsulates);
    if (auto warm = bench.front->run(std::clamp(8 * scenario.flows, 100'000u, 2'000'000u), &action); !warm)
        return warm.error();
    if (action != scenario.action)
        return make_error("{}: the program answers {}, expected {}", scenario.name, action, scenario.action);
    return bench;
}

// Net ns per packet: the program behind the front, less the same front before one that only returns.
Result<double> net_cost(Bench& bench, u32 packets) {
    u32 action = 0;
    const auto floor = bench.floor->run(packets, &action);
    const auto cost = bench.front->run(packets, &action);
    if (!floor) return floor.error();
    if (!cost) return cost.error();
    return *cost - *floor;
}

Status run(const Paths& paths, int rounds, u32 packets, const std::string& only, const std::string& json) {
    std::vector<std::unique_ptr<Bench>> benches;
    std::vector<Scenario> measured;
    for (const XdpScenario& scenario : scenarios()) {
        if (scenario.name.find(only) == std::string::npos) continue;
        auto prepared = prepare(paths, scenario);
        if (!prepared) return prepared.error();
        benches.push_back(std::make_unique<Bench>(std::move(*prepared)));
        Bench* bench = benches.back().get();
        measured.push_back({scenario.name, [bench, packets] { return net_cost(*bench, packets); }});
    }
    const auto series = interleave(measured, rounds);
    if (!series) return series.error();
    return report("net ns per packet", *series, json);
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
    CLI::App app{"Cost of the XDP program per packet"};
    sluice::perf::Paths paths;
    int rounds = 11;
    unsigned packets = 300'000;
    std::string only;
    std::string json;
    app.add_option("--program", paths.program, "sluice.bpf.o")->required();
    app.add_option("--front", paths.front, "front.bpf.o")->required();
    app.add_option("--rounds", rounds, "rounds, interleaved");
    app.add_option("--packets", packets, "packets per round and scenario");
    app.add_option("--only", only, "scenarios whose name contains this");
    app.add_option("--json", json, "file to write the figures to");
    CLI11_PARSE(app, argc, argv);
    const sluice::Status status = sluice::perf::run(paths, rounds, packets, only, json);
    if (status) return 0;
    fmt::print(stderr, "xdp-program: {}\n", status.error().message);
    return 1;
}
