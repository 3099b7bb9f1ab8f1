// SPDX-License-Identifier: Apache-2.0
#include "perf/common/measure.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>

namespace sluice::perf {

namespace {

u64 clock_ns_of(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}

}  // namespace

u64 thread_ns() { return clock_ns_of(CLOCK_THREAD_CPUTIME_ID); }
u64 monotonic_ns() { return clock_ns_of(CLOCK_MONOTONIC); }

double Series::median() const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    return sorted.empty() ? 0 : sorted[sorted.size() / 2];
}

Result<std::vector<Series>> interleave(const std::vector<Scenario>& scenarios, int rounds) {
    std::vector<Series> series;
    for (const Scenario& scenario : scenarios) series.push_back({scenario.name, {}});
    if (scenarios.empty()) return series;
    series.push_back({scenarios.front().name + " (A/A)", {}});
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < series.size(); i++) {
            Result<double> value = scenarios[i % scenarios.size()].measure();
            if (!value) return value.error().with_context(series[i].name);
            series[i].values.push_back(*value);
        }
    }
    return series;
}

Status report(const std::string& unit, const std::vector<Series>& series, const std::string& json) {
    fmt::print("{:<52} {:>9} {:>9} {:>9}\n", unit, "median", "min", "max");
    nlohmann::json document = {{"unit", unit}, {"series", nlohmann::json::array()}};
    for (const Series& one : series) {
        const auto [least, most] = std::minmax_element(one.values.begin(), one.values.end());
        fmt::print("{:<52} {:>9.1f} {:>9.1f} {:>9.1f}\n", one.name, one.median(), *least, *most);
        document["series"].push_back({{"name", one.name}, {"median", one.median()}, {"values", one.values}});
    }
    if (json.empty()) return {};
    std::ofstream out(json);
    out << document.dump(1) << '\n';
    if (!out.flush()) return system_error(errno, "write {}", json);
    return {};
}

}  // namespace sluice::perf
