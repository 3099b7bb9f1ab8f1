// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/flow_list.h"

#include "control/api/json.h"
#include "control/daemon/environment.h"

namespace sluice::control {

namespace {

constexpr int attempts = 4;
constexpr double seconds_per_tick = (1 << 20) / 1e9;

struct FlowCopy {
    struct flow flow;
    struct flow_addresses addresses;
    struct flow_counters counters;
};

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

struct address endpoint_address(const struct flow_endpoint& endpoint, const struct address& full) {
    if (endpoint.family == 6) return full;
    be32 wire{};
    std::memcpy(&wire, endpoint.address, 4);
    return address_from_ipv4(wire);
}

struct Ends {
    struct address initiator, responder, backend;
    bool has_backend;
};

Ends ends_of(const FlowCopy& copy) {
    const struct flow& flow = copy.flow;
    Ends ends{endpoint_address(flow.initiator, copy.addresses.initiator),
              endpoint_address(flow.responder, copy.addresses.responder),
              flow.target != 0 ? address_from_ipv4(be32{flow.target}) : copy.addresses.target,
              flow.backend != 0};
    return ends;
}

bool wanted(const FlowCopy& copy, const Ends& ends, const Naming& naming, const api::FlowRequest& request) {
    const u32 protocol = copy.flow.initiator.protocol;
    if (!request.service.empty() && naming.service(copy.flow.service) != request.service) return false;
    if (!request.protocol.empty() && protocol_name(protocol) != request.protocol &&
        fmt::to_string(protocol) != request.protocol)
        return false;
    if (request.address.empty()) return true;
    const auto is = [&](const struct address& a) { return config_address(a).text() == request.address; };
    return is(ends.initiator) || is(ends.responder) || (ends.has_backend && is(ends.backend));
}

api::FlowReport report_of(const FlowCopy& copy, const Ends& ends, const Naming& naming, u32 now) {
    const struct flow& flow = copy.flow;
    api::FlowReport report;
    report.protocol = protocol_name(flow.initiator.protocol);
    report.initiator = endpoint_text(ends.initiator, flow.initiator.port);
    report.responder = endpoint_text(ends.responder, flow.responder.port);
    if (ends.has_backend) report.backend = endpoint_text(ends.backend, flow.target_port);
    report.service = naming.service(flow.service);
    report.mode = api::mode_name(flow.mode);
    report.state = api::state_name(flow.state);
    if (flow.generation == static_cast<u16>(naming.generation)) report.rule = naming.rule(flow.rule);
    // A stamp may lie ahead of NOW: it was taken after it, or on a finer clock.
    const auto idle = static_cast<std::int32_t>(now - flow.last_seen);
    report.idle = idle > 0 ? idle * seconds_per_tick : 0;
    for (size_t i = 0; i < 2; ++i) {
        report.packets[i] = copy.counters.packets[i];
        report.bytes[i] = copy.counters.bytes[i];
    }
    return report;
}

}  // namespace

api::FlowPage list_flows(const struct tables& tables, const Naming& naming, const api::FlowRequest& request,
                         u32 now) {
    api::FlowPage page;
    const u64 capacity = tables.node->flow_capacity;
    for (u64 index = request.cursor; index < capacity; ++index) {
        const u64 tags = *flow_tags_at(&tables, static_cast<u32>(index / FLOW_BUCKET_SLOTS));
        if (tags == 0) {  // an empty bucket: on to the next
            index |= FLOW_BUCKET_SLOTS - 1;
            continue;
        }
        FlowCopy copy{};
        if (!copy_flow(tables, static_cast<u32>(index), copy) || flow_expired(&tables, &copy.flow, now))
            continue;
        const Ends ends = ends_of(copy);
        if (!wanted(copy, ends, naming, request)) continue;
        if (page.flows.size() == request.limit) {
            page.next = index;
            return page;
        }
        page.flows.push_back(report_of(copy, ends, naming, now));
    }
    return page;
}

}  // namespace sluice::control
