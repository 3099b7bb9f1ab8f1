// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/flow_list.h"

#include "control/api/json.h"
#include "control/daemon/environment.h"
#include "control/daemon/flow_copy.h"

namespace sluice::control {

namespace {

constexpr double seconds_per_tick = (1 << 20) / 1e9;

bool wanted(const FlowCopy& copy, const FlowEnds& ends, const Naming& naming,
            const api::FlowRequest& request) {
    const u32 protocol = copy.flow.initiator.protocol;
    if (!request.service.empty() && naming.service(copy.flow.service) != request.service) return false;
    if (!request.protocol.empty() && protocol_name(protocol) != request.protocol &&
        fmt::to_string(protocol) != request.protocol)
        return false;
    if (request.address.empty()) return true;
    const auto is = [&](const struct address& a) { return config_address(a).text() == request.address; };
    return is(ends.initiator) || is(ends.responder) || (ends.has_backend && is(ends.backend));
}

api::FlowReport report_of(const FlowCopy& copy, const FlowEnds& ends, const Naming& naming, u32 now) {
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
    each_live_flow(tables, now, request.cursor, [&](u64 index, const FlowCopy& copy) {
        const FlowEnds ends = ends_of(copy);
        if (!wanted(copy, ends, naming, request)) return true;
        if (page.flows.size() == request.limit) {
            page.next = index;
            return false;
        }
        page.flows.push_back(report_of(copy, ends, naming, now));
        return true;
    });
    return page;
}

}  // namespace sluice::control
