// SPDX-License-Identifier: Apache-2.0
//
// What the XDP program costs per packet: BPF_PROG_TEST_RUN, thread CPU time, scenarios interleaved round by
// round, each round's own floor subtracted. Prints medians and spread; --json for machines.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "perf/xdp/program_under_test.h"

namespace sluice::perf {
namespace {

constexpr u32 action_pass = 2;
constexpr u32 action_tx = 3;

struct Scenario {
    std::string name;
    std::string config;
    u8 family = 4;
    bool foreign = false;
    u32 flows = 1;
    u32 table = 1 << 20;
    bool fill = false;        // the table is filled with other flows first
    bool sequential = false;  // every packet a flow not seen for long
    bool encapsulates = false;
    u32 action = action_tx;
};

std::string rules_text(int count) {
    std::string text =
        "policy:\n  default: allow\n  sets:\n    bogons: { prefixes: [198.18.0.0/15, 240.0.0.0/4, "
        "\"3fff::/20\"] }\n  rules:\n"
        "    - { name: no-bogons, from: [\"set:bogons\"], action: drop }\n";
    for (int i = 1; i < count - 1; i++)
        text += fmt::format(
            "    - {{ name: r{0}, from: [10.{1}.{2}.0/24], protocol: tcp, ports: \"{3}\", action: drop }}\n",
            i, i / 250 % 250, i % 250, 1000 + i % 30000);
    return text + "    - { name: web, to: [192.0.2.0/24], protocol: tcp, ports: \"80\", action: allow }\n";
}

std::string config_text(const std::string& mode, int rules) {
    std::string text =
        "version: 1\ninterfaces: [{ name: lo, mac: \"02:00:00:00:00:01\", addresses: [192.0.2.254/24, "
        "\"2001:db8::fe/64\"] }]\n";
    text += rules_text(rules);
    text += fmt::format(
        "services:\n  - name: web\n    vip: 192.0.2.10\n    protocol: tcp\n    ports: \"80\"\n    mode: {}\n",
        mode);
    if (mode != "nat") text += "    tunnel: { source4: 172.16.0.0/16 }\n";
    text += "    backends:\n";
    for (int i = 1; i <= 16; i++)
        text += fmt::format("      - {{ address: 10.0.1.{}, port: {} }}\n", i, mode == "nat" ? 8080 : 80);
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

std::vector<u8> frame_of(const Scenario& scenario) {
    std::vector<u8> frame(scenario.family == 4 ? 64 : 78, 0);
    const u8 link[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0};
    std::copy(link, link + 14, frame.begin());
    size_t l4 = 34;
    if (scenario.family == 4) {
        const u8 ip[20] = {0x45, 0, 0, 50, 0, 1, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 192, 0, 2, 10};
        std::copy(ip, ip + 20, frame.begin() + 14);
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

std::vector<Scenario> scenarios() {
    const std::string nat = config_text("nat", 10);
    const std::string ipip = config_text("dsr_ipip", 10);
    std::vector<Scenario> list;
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
    return list;
}

struct Bench {
    Scenario scenario;
    std::unique_ptr<ProgramUnderTest> program;
    std::unique_ptr<Front> front;
    std::unique_ptr<Front> floor;
    std::vector<double> net;
};

Result<Bench> prepare(const Paths& paths, const Scenario& scenario) {
    Bench bench{.scenario = scenario, .program = nullptr, .front = nullptr, .floor = nullptr, .net = {}};
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

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

Status measure(std::vector<Bench>& benches, int rounds, u32 packets) {
    u32 action = 0;
    for (int round = 0; round < rounds; round++) {
        for (Bench& bench : benches) {
            auto floor = bench.floor->run(packets, &action);
            auto cost = bench.front->run(packets, &action);
            if (!floor) return floor.error();
            if (!cost) return cost.error();
            bench.net.push_back(*cost - *floor);
        }
    }
    return {};
}

int run(const Paths& paths, int rounds, u32 packets, const std::string& only) {
    std::vector<Bench> benches;
    for (const Scenario& scenario : scenarios()) {
        if (scenario.name.find(only) == std::string::npos) continue;
        auto bench = prepare(paths, scenario);
        if (!bench) {
            fmt::print(stderr, "xdp-program: {}\n", bench.error().message);
            return 1;
        }
        benches.push_back(std::move(*bench));
    }
    if (Status status = measure(benches, rounds, packets); !status) {
        fmt::print(stderr, "xdp-program: {}\n", status.error().message);
        return 1;
    }
    fmt::print("{:<40} {:>8} {:>8} {:>8}\n", "net ns per packet", "median", "min", "max");
    for (const Bench& bench : benches)
        fmt::print("{:<40} {:>8.1f} {:>8.1f} {:>8.1f}\n", bench.scenario.name, median(bench.net),
                   *std::min_element(bench.net.begin(), bench.net.end()),
                   *std::max_element(bench.net.begin(), bench.net.end()));
    return 0;
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
    CLI::App app{"Cost of the XDP program per packet"};
    sluice::perf::Paths paths;
    int rounds = 11;
    unsigned packets = 300'000;
    std::string only;
    app.add_option("--program", paths.program, "sluice.bpf.o")->required();
    app.add_option("--front", paths.front, "front.bpf.o")->required();
    app.add_option("--rounds", rounds, "rounds, interleaved");
    app.add_option("--packets", packets, "packets per round and scenario");
    app.add_option("--only", only, "scenarios whose name contains this");
    CLI11_PARSE(app, argc, argv);
    return sluice::perf::run(paths, rounds, packets, only);
}
