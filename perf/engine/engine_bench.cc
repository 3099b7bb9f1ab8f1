// SPDX-License-Identifier: Apache-2.0
//
// What a packet costs in the native engine, complete and in memory: parse to rewrite, with policy, counters
// and clock, but without a device.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "perf/common/measure.h"
#include "perf/engine/subject.h"

namespace sluice::perf {
namespace {

constexpr u8 tcp_syn = 2;

// At most 0.6 full with that many flows.
u32 table_for(u32 flows) {
    u32 slots = 1 << 16;
    while (slots * 0.6 < flows) slots *= 2;
    return slots;
}

SubjectPlan known(const std::string& name, u8 family, u32 flows) {
    return {.name = name, .table = table_for(flows), .traffic = {.family = family, .flows = flows}};
}

SubjectPlan fresh(const std::string& name, u8 family) {
    return {.name = name, .fill = true, .traffic = {.family = family, .fresh = true, .tcp_flags = tcp_syn}};
}

std::vector<SubjectPlan> plans() {
    std::vector<SubjectPlan> list;
    const std::pair<u32, const char*> sizes[] = {
        {1'000, "1,000"}, {65'536, "65,536"}, {1'000'000, "1 M"}, {10'000'000, "10 M"}};
    for (const u8 family : {u8{4}, u8{6}}) {
        for (const auto& [flows, text] : sizes)
            list.push_back(known(fmt::format("nat IPv{} known, {} flows", family, text), family, flows));
    }
    list.push_back(known("nat IPv4 known, 65,536 flows, table of 1 M full", 4, 65'536));
    list.back().table = 1 << 20;
    list.back().fill = true;
    list.push_back(known("nat IPv4 replies, 65,536 flows", 4, 65'536));
    list.back().traffic.replies = true;
    list.push_back(known("nat IPv4 known, 65,536 flows, 10,000 rules", 4, 65'536));
    list.back().rules = 10'000;
    list.push_back(known("dsr_ipip IPv4 known, 65,536 flows", 4, 65'536));
    list.back().mode = "dsr_ipip";
    list.push_back(fresh("nat IPv4 new, table of 1 M full", 4));
    list.push_back(fresh("nat IPv6 new, table of 1 M full", 6));
    list.push_back(fresh("nat IPv4 new, 10,000 rules, table full", 4));
    list.back().rules = 10'000;
    list.push_back(fresh("dsr_ipip IPv4 new, table of 1 M full", 4));
    list.back().mode = "dsr_ipip";
    return list;
}

Status run(const std::string& only, int rounds, int passes, const std::string& json) {
    std::vector<std::unique_ptr<Subject>> subjects;
    std::vector<Scenario> scenarios;
    for (const SubjectPlan& plan : plans()) {
        if (plan.name.find(only) == std::string::npos) continue;
        Result<std::unique_ptr<Subject>> subject = Subject::create(plan);
        if (!subject) return subject.error();
        subjects.push_back(std::move(*subject));
        Subject* one = subjects.back().get();
        scenarios.push_back({one->name(), [one, passes] { return one->measure(passes); }});
    }
    Result<std::vector<Series>> series = interleave(scenarios, rounds);
    if (!series) return series.error();
    return report("ns per packet", *series, json);
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
    CLI::App app{"Cost of the native engine per packet"};
    int rounds = 11;
    int passes = 8;
    std::string only;
    std::string json;
    app.add_option("--rounds", rounds, "rounds, interleaved");
    app.add_option("--passes", passes, "timed passes over all frames per round and scenario");
    app.add_option("--only", only, "scenarios whose name contains this");
    app.add_option("--json", json, "file to write the figures to");
    CLI11_PARSE(app, argc, argv);
    if (const sluice::Status status = sluice::perf::run(only, rounds, passes, json); !status) {
        fmt::print(stderr, "engine-bench: {}\n", status.error().message);
        return 1;
    }
    return 0;
}
