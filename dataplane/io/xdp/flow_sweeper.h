// SPDX-License-Identifier: Apache-2.0
//
// Keeps house in the flow table that program and workers share: removes what has expired, repairs what a
// crashed writer left locked, counts what lives. One thread.
#pragma once

#include <array>
#include <functional>
#include <unordered_map>
#include <vector>

#include "dataplane/tables/flow_table.h"

namespace sluice {

struct FlowCensus {
    std::array<u64, STATE_COUNT> live{};  // by flow_state
    u64 aliases = 0;

    u64 total() const;  // slots in use, aliases included
};

class FlowSweeper {
public:
    static constexpr u32 repair_after_ticks = 1000;  // a little over a second

    // `tables`: node, flow_tags, flows, flow_addresses and flow_counters are used.
    explicit FlowSweeper(const struct tables& tables) : tables_(tables) {}

    // Looks at the next `slots` slots, rounded up to whole buckets, at `now` (ticks). True when that
    // completed a round.
    bool step(u32 slots, u32 now);

    // Of the last complete round.
    const FlowCensus& census() const { return census_; }
    u64 expired() const { return expired_; }    // entries removed since construction
    u64 repaired() const { return repaired_; }  // locks broken since construction

    // Removes, in one go, all flows whose backend id is `gone`; how many.
    u64 remove_backends(const std::function<bool(u16 id)>& gone);

    // Calls back for every live flow (no alias) with a consistent copy of it.
    void for_each(
        const std::function<void(const flow&, const flow_addresses&, const flow_counters&)>& visit) const;

private:
    struct Stuck {
        u32 version;
        u32 since;
    };

    void look_at(u32 index, u32 now);
    void look_at_locked(u32 index, u32 version, u32 now);
    bool alias_is_orphan(const flow& alias) const;
    void remove(u32 index, u32 version);

    struct tables tables_;
    static constexpr u32 thorough_rounds = 16;

    u32 next_ = 0;  // a bucket's first slot
    u32 round_ = 0;
    FlowCensus running_;
    FlowCensus census_;
    u64 expired_ = 0;
    u64 repaired_ = 0;
    std::unordered_map<u32, Stuck> stuck_;
};

}  // namespace sluice
