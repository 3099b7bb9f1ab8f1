// SPDX-License-Identifier: Apache-2.0
//
// Series of measurements, taken in interleaved rounds, and how they are reported: a table for people, JSON
// for run.sh.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice::perf {

// CPU time of this thread: what the neighbours on a shared machine disturb least.
u64 thread_ns();
u64 monotonic_ns();

struct Series {
    std::string name;
    std::vector<double> values;  // one per round

    double median() const;
};

// One measurement of a round, and what it is called. Returns its value.
struct Scenario {
    std::string name;
    std::function<Result<double>()> measure;
};

// Every scenario once per round, in turn. The first one runs a second time at the end of every round, under
// "A/A": its distance from the first is the noise to read all others by.
Result<std::vector<Series>> interleave(const std::vector<Scenario>& scenarios, int rounds);

// Prints medians and extremes; writes {"unit", "series": [{"name", "median", "values"}]} to `json` unless it
// is empty.
Status report(const std::string& unit, const std::vector<Series>& series, const std::string& json);

}  // namespace sluice::perf
