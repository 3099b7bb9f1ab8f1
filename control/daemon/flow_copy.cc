// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/flow_copy.h"

namespace sluice::control {

namespace {

constexpr int attempts = 4;

// False for an empty slot, an alias, or one that is being written.
bool copy_flow(const struct tables& tables, u32 index, FlowCopy& copy) {
    const struct flow* slot = flow_at(&tables, index);
    for (int i = 0; i < attempts; ++i) {
        const u32 version = LOAD_ACQUIRE(&slot->version);
        if ((version & 1) != 0 || flow_word_load(&slot->initiator) == 0) return false;
        std::memcpy(&copy.flow, slot, sizeof copy.flow);
        if ((copy.flow.flags & FLOW_WIDE) != 0)
            std::memcpy(&copy.addresses, flow_addresses_at(&tables, index), sizeof copy.addresses);
        std::memcpy(&copy.counters, flow_counters_at(&tables, index), sizeof copy.counters);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (LOAD_ACQUIRE(&slot->version) == version) return (copy.flow.mode & MODE_MASK) != MODE_ALIAS;
    }
    return false;
}

}  // namespace

struct address end_address(const struct flow_endpoint& endpoint, const struct address& full) {
    if (endpoint.family == 6) return full;
    be32 wire{};
    std::memcpy(&wire, endpoint.address, 4);
    return address_from_ipv4(wire);
}

FlowEnds ends_of(const FlowCopy& copy) {
    const struct flow& flow = copy.flow;
    return {end_address(flow.initiator, copy.addresses.initiator),
            end_address(flow.responder, copy.addresses.responder),
            flow.target != 0 ? address_from_ipv4(be32{flow.target}) : copy.addresses.target,
            flow.backend != 0};
}

void each_live_flow(const struct tables& tables, u32 now, u64 first,
                    const std::function<bool(u64 index, const FlowCopy& copy)>& visit) {
    const u64 capacity = tables.node->flow_capacity;
    for (u64 index = first; index < capacity; ++index) {
        if (*flow_tags_at(&tables, static_cast<u32>(index / FLOW_BUCKET_SLOTS)) == 0) {
            index |= FLOW_BUCKET_SLOTS - 1;  // an empty bucket: on to the next
            continue;
        }
        FlowCopy copy{};
        if (!copy_flow(tables, static_cast<u32>(index), copy) || flow_expired(&tables, &copy.flow, now))
            continue;
        if (!visit(index, copy)) return;
    }
}

}  // namespace sluice::control
