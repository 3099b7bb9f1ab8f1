// SPDX-License-Identifier: Apache-2.0
//
// Memory behind struct tables. What tiers share (flows, meters, the node's state) lies in BPF maps where
// there is an XDP program (XdpMaps::fill()), else in a TableMemory; counters are always the worker's own.
#pragma once

#include <span>

#include "dataplane/base/mapping.h"
#include "dataplane/tables/lookup.h"

namespace sluice {

// Numbers of entries. Flows and sources are rounded up to what the tables can be (powers of two).
struct TableSizes {
    u32 flows = 1u << 20;
    u32 sources = 65536;
    u32 backends = 65536;                // bound of backend ids
    u32 rules = POLICY_MAX_WORDS * 64u;  // bound of rule ids

    static u32 rounded(u32 entries, u32 per_bucket);
};

// Tables of one engine's, or of several in one process, on huge pages where the machine has them.
class TableMemory {
public:
    static Result<TableMemory> create(const TableSizes& sizes);

    node_state& node() const { return *node_.as<node_state>(); }

    // Sets node, flows and meters. Image, counters, scratch slot and surroundings are the worker's own.
    void fill(struct tables& view) const;

private:
    TableMemory() = default;

    Mapping node_;
    Mapping flow_tags_;
    Mapping flows_;
    Mapping flow_addresses_;
    Mapping flow_counters_;
    Mapping meters_;
    Mapping source_meters_;
};

// Counters of one worker: it alone writes, anybody may read.
class WorkerCounters {
public:
    static Result<WorkerCounters> create(u32 backends, u32 rules);

    void fill(struct tables& view) const;

    std::span<const port_counters> ports() const { return {ports_.as<port_counters>(), NODE_PORTS}; }
    std::span<const backend_counters> backends() const {
        return {backends_.as<backend_counters>(), backend_count_};
    }
    std::span<const pair_counters> rules() const { return {rules_.as<pair_counters>(), rule_count_}; }
    const worker_counters& worker() const { return *worker_.as<worker_counters>(); }

private:
    WorkerCounters() = default;

    u32 backend_count_ = 0;
    u32 rule_count_ = 0;
    Mapping ports_;
    Mapping backends_;
    Mapping rules_;
    Mapping worker_;
};

}  // namespace sluice
