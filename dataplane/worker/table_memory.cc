// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/table_memory.h"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace sluice {

namespace {

Status map(Mapping& mapping, u64 entries, size_t size, const char* what) {
    Result<Mapping> made = Mapping::anonymous(entries * size, entries * size >= Mapping::huge_page_size);
    if (!made) return made.error().with_context(what);
    mapping = std::move(*made);
    return {};
}

}  // namespace

u32 TableSizes::rounded(u32 entries, u32 per_bucket) {
    return std::bit_ceil(std::clamp(entries, per_bucket, 1u << 30));
}

Result<TableMemory> TableMemory::create(const TableSizes& sizes) {
    TableMemory memory;
    const u32 flows = TableSizes::rounded(sizes.flows, FLOW_BUCKET_SLOTS);
    const u32 sources = TableSizes::rounded(sizes.sources, METER_BUCKET_SIZE) / METER_BUCKET_SIZE;
    Status status = map(memory.node_, 1, sizeof(node_state), "node state");
    if (status) status = map(memory.flow_tags_, flows / FLOW_BUCKET_SLOTS, sizeof(u64), "flow tags");
    if (status) status = map(memory.flows_, flows + FLOW_SCRATCH, sizeof(flow), "flows");
    if (status)
        status = map(memory.flow_addresses_, flows + FLOW_SCRATCH, sizeof(flow_addresses), "flow addresses");
    if (status)
        status = map(memory.flow_counters_, flows + FLOW_SCRATCH, sizeof(flow_counters), "flow counters");
    if (status) status = map(memory.meters_, sizes.rules, sizeof(u64), "meters");
    if (status) status = map(memory.source_meters_, sources, sizeof(source_meter_bucket), "source meters");
    if (!status) return status.error();
    node_state& node = memory.node();
    node.layout_version = LAYOUT_VERSION;
    node.flow_capacity = flows;
    node.flow_bucket_mask = flows / FLOW_BUCKET_SLOTS - 1;
    node.source_mask = sources - 1;
    node.slot_multiplier = 1;
    if (getrandom(&node.flow_seed, sizeof node.flow_seed, 0) != sizeof node.flow_seed)
        return system_error(errno, "flow table: getrandom for its seed");
    return memory;
}

void TableMemory::fill(struct tables& view) const {
    view.node = &node();
    view.flow_tags = flow_tags_.as<u64>();
    view.flows = flows_.as<flow>();
    view.flow_addresses = flow_addresses_.as<flow_addresses>();
    view.flow_counters = flow_counters_.as<flow_counters>();
    view.meters = meters_.as<u64>();
    view.source_meters = source_meters_.as<source_meter_bucket>();
}

Result<WorkerCounters> WorkerCounters::create(u32 backends, u32 rules) {
    WorkerCounters counters;
    counters.backend_count_ = backends;
    counters.rule_count_ = rules;
    Status status = map(counters.ports_, NODE_PORTS, sizeof(port_counters), "port counters");
    if (status)
        status =
            map(counters.backends_, std::max(backends, 1u), sizeof(backend_counters), "backend counters");
    if (status) status = map(counters.rules_, std::max(rules, 1u), sizeof(pair_counters), "rule counters");
    if (status) status = map(counters.worker_, 1, sizeof(worker_counters), "worker counters");
    if (!status) return status.error();
    return counters;
}

void WorkerCounters::fill(struct tables& view) const {
    view.port_counters = ports_.as<port_counters>();
    view.backend_counters = backends_.as<backend_counters>();
    view.rule_counters = rules_.as<pair_counters>();
    view.counters = worker_.as<worker_counters>();
}

}  // namespace sluice
