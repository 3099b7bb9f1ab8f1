// SPDX-License-Identifier: Apache-2.0
//
// What a packet costs in the native engine as flows, rules, prefixes, services and backends grow, and how
// much memory the flow table's slots and the snapshot take at each.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "perf/common/measure.h"
#include "perf/engine/subject.h"

namespace sluice::perf {
namespace {

constexpr u8 tcp_syn = 2;
constexpr size_t slot_bytes = 1 + sizeof(flow) + sizeof(flow_counters);  // IPv6's addresses stay untouched

struct Point {
    std::string over;   // what grows
    std::string curve;  // of which figure
    u32 x;
    SubjectPlan plan;

    std::string name() const { return fmt::format("{} {}, {}", x, over, curve); }
};

// Known flows meet no rule, service or backend; new ones do.
SubjectPlan known(u32 flows) {
    SubjectPlan plan{.name = "", .table = 1 << 16, .traffic = {.family = 4, .flows = flows}};
    while (plan.table * 0.6 < flows) plan.table *= 2;
    return plan;
}

SubjectPlan fresh() {
    return {.name = "",
            .table = 1 << 16,
            .fill = true,
            .traffic = {.family = 4, .fresh = true, .tcp_flags = tcp_syn}};
}

void add_both(std::vector<Point>& list, const std::string& over, u32 x,
              const std::function<void(SubjectPlan&)>& grow) {
    for (const bool is_new : {false, true}) {
        Point point{over, is_new ? "new flow" : "known flow", x, is_new ? fresh() : known(1000)};
        grow(point.plan);
        list.push_back(point);
    }
}

std::vector<Point> points(u32 most) {
    std::vector<Point> list;
    for (u32 flows = 1; flows <= std::min(most, 10'000'000u); flows *= 10)
        list.push_back({"flows", "known flow", flows, known(flows)});
    for (u32 rules = 10; rules <= std::min(most, 10'000u); rules *= 10)
        add_both(list, "rules", rules, [rules](SubjectPlan& plan) { plan.rules = static_cast<int>(rules); });
    for (const u32 prefixes :
         {100u, 10'000u, 999'900u})  // with the rules' own, a million: the most there may be
        if (prefixes <= most)
            add_both(list, "prefixes", prefixes, [prefixes](SubjectPlan& plan) { plan.prefixes = prefixes; });
    for (u32 services = 1; services <= std::min(most, 4096u); services *= 8)
        add_both(list, "services", services, [services](SubjectPlan& plan) { plan.services = services; });
    for (u32 backends = 1; backends <= std::min(most, 1000u); backends *= 10)
        add_both(list, "backends", backends, [backends](SubjectPlan& plan) { plan.backends = backends; });
    return list;
}

// One subject at a time, since ten million flows take 1.8 GB.
struct Found {
    Point point;
    std::vector<double> ns;
    double snapshot_mb = 0;
    double table_mb = 0;
};

Result<Found> measure(const Point& point, int rounds, int passes) {
    Result<std::unique_ptr<Subject>> subject = Subject::create(point.plan);
    if (!subject) return subject.error().with_context(point.name());
    Found found{point, {}, 0, 0};
    for (int round = 0; round < rounds; round++) {
        Result<double> ns = (*subject)->measure(passes);
        if (!ns) return ns.error().with_context(point.name());
        found.ns.push_back(*ns);
    }
    found.snapshot_mb = static_cast<double>((*subject)->node().snapshot().lines.size() * IMAGE_LINE) / 1e6;
    found.table_mb = static_cast<double>(point.plan.table * slot_bytes) / 1e6;
    return found;
}

nlohmann::json series_of(const std::string& name, const std::vector<double>& values) {
    return {{"name", name}, {"median", Series{name, values}.median()}, {"values", values}};
}

Status run(int rounds, int passes, u32 most, const std::string& json) {
    nlohmann::json all = nlohmann::json::array();
    for (const Point& point : points(most)) {
        Result<Found> found = measure(point, rounds, passes);
        if (!found) return found.error();
        nlohmann::json one = series_of(point.name(), found->ns);
        one["of"] = point.over;
        one["curve"] = point.curve;
        one["x"] = point.x;
        fmt::print("{:<32} {:>8.1f} ns  snapshot {:>8.2f} MB  flow table {:>8.1f} MB\n", point.name(),
                   one["median"].get<double>(), found->snapshot_mb, found->table_mb);
        all.push_back(one);
        all.push_back(series_of(point.name() + ", snapshot MB", {found->snapshot_mb}));
        all.push_back(series_of(point.name() + ", flow table MB", {found->table_mb}));
    }
    if (json.empty()) return {};
    std::ofstream out(json);
    out << nlohmann::json{{"unit", "ns per packet"}, {"series", all}}.dump(1) << '\n';
    return out.flush() ? Status{} : system_error(errno, "write {}", json);
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
    CLI::App app{"Cost of the native engine as its tables grow"};
    int rounds = 5;
    int passes = 2;
    unsigned most = 10'000'000;
    std::string json;
    app.add_option("--rounds", rounds, "rounds");
    app.add_option("--passes", passes, "timed passes over all frames per round");
    app.add_option("--most", most, "leave out what is larger");
    app.add_option("--json", json, "file to write the figures to");
    CLI11_PARSE(app, argc, argv);
    if (const sluice::Status status = sluice::perf::run(rounds, passes, most, json); !status) {
        fmt::print(stderr, "growth-bench: {}\n", status.error().message);
        return 1;
    }
    return 0;
}
