// SPDX-License-Identifier: Apache-2.0
//
// What the evaluator is told about the rules with `action: evaluate`, and what it counts for each.
#pragma once

#include <array>
#include <bit>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/packet/target.h"

namespace sluice::evaluate {

// How a question was answered. ENTRY(identifier, name, allowed)
#define SLUICE_OUTCOMES(ENTRY)                                                                \
    ENTRY(allowed, "allowed", true)                  /* every condition holds */              \
    ENTRY(schedule, "schedule", false)               /* not now */                            \
    ENTRY(connections, "connections", false)         /* the source holds as many as it may */ \
    ENTRY(new_connections, "new_connections", false) /* over the rule's quota */              \
    ENTRY(authorizer, "authorizer", false)           /* the authorizer said no */             \
    ENTRY(failed_open, "failed_open", true)          /* no answer, on_failure: allow */       \
    ENTRY(failed_closed, "failed_closed", false)     /* no answer, on_failure: drop */        \
    ENTRY(unknown_rule, "unknown_rule", false)       /* the rule has gone meanwhile */

#define SLUICE_OUTCOME_ID(id, name, allowed) id,
enum class Outcome : u8 { SLUICE_OUTCOMES(SLUICE_OUTCOME_ID) count };
#undef SLUICE_OUTCOME_ID

constexpr size_t outcomes = static_cast<size_t>(Outcome::count);
const char* outcome_name(size_t outcome);
bool is_allowed(Outcome outcome);

struct Schedule {
    u8 days = 0;           // bit 0 is Monday
    u16 start_minute = 0;  // of the day, UTC
    u16 end_minute = 0;    // exclusive

    // At `seconds` since 1970.
    bool is_open(int64_t seconds) const;
};

struct AuthorizerSettings {
    std::string url;
    u32 timeout_ms = 1000;
    u64 cache_ns = 0;  // how long an answer is taken again for the same question; 0: never
    bool fail_open = false;
};

// Time until verdicts, by powers of two of a microsecond: bucket i has what took up to 2^i us, the last one
// all above.
class LatencyCounters {
public:
    static constexpr size_t buckets = 24;

    void add(u64 ns) {
        const u64 us = ns / 1000;
        const size_t at = us == 0 ? 0 : static_cast<size_t>(std::bit_width(us - (ns % 1000 == 0)));
        counts_[at < buckets ? at : buckets - 1].add(1);
        sum_ns_.add(ns);
    }
    u64 count(size_t bucket) const { return counts_[bucket].get(); }
    u64 sum_ns() const { return sum_ns_.get(); }

private:
    std::array<Counter, buckets> counts_;
    Counter sum_ns_;
};

struct RuleCounters {
    std::array<Counter, outcomes> by_outcome;
    Counter cached;           // authorizer's answers taken again
    LatencyCounters latency;  // from the packet's arrival to its flow's verdict
};

struct Rule {
    std::string name;
    std::optional<Schedule> schedule;
    u32 max_connections_per_source = 0;  // 0: any number
    double new_connections = 0;          // per second; 0: any number
    std::optional<AuthorizerSettings> authorizer;
    std::shared_ptr<RuleCounters> counters;
};

// By rule id; empty: not a rule of ours.
using Rules = std::vector<std::optional<Rule>>;

}  // namespace sluice::evaluate
