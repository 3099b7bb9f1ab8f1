// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/flow_judge.h"

#include "control/daemon/flow_copy.h"

namespace sluice::control {

namespace {

constexpr size_t most_examples = 20;

const char* fate_text(FlowJudge::Fate fate) {
    switch (fate) {
        case FlowJudge::Fate::same: return "same";
        case FlowJudge::Fate::other_rule: return "another rule allows it";
        case FlowJudge::Fate::denied: return "the policy denies it";
        case FlowJudge::Fate::ended: return "its service or backend is gone";
    }
    return "";
}

}  // namespace

FlowJudge::FlowJudge(const compile::Snapshot& next, const Naming& now,
                     const std::set<compile::BackendKey>& off)
    : stays_(now.identities.backends.bound()), counters_(POLICY_MAX_WORDS * 64U) {
    for (u32 id = 0; id < stays_.size(); ++id) {
        const compile::BackendKey* key = now.identities.backends.name(id);
        stays_[id] = key != nullptr && next.identities.backends.find(*key) && !off.contains(*key);
    }
    struct tables& t = pipeline_.tables;
    t.node = node_.get();
    t.image = next.lines.data();
    t.image_lines = static_cast<u32>(next.lines.size());
    t.rule_counters = counters_.data();
    pipeline_.context = &context_;
    pipeline_.ref.at = &context_.place;
}

void FlowJudge::set_headers(const struct flow& flow, const struct flow_addresses& addresses) {
    headers& h = context_.h;
    h = {};
    h.source = end_address(flow.initiator, addresses.initiator);
    h.destination = end_address(flow.responder, addresses.responder);
    h.source_port = flow.initiator.port;
    h.destination_port = flow.responder.port;
    h.family = flow.initiator.family;
    h.protocol = flow.initiator.protocol;
    h.flags = HEADER_UNICAST | (has_ports(h.protocol) ? HEADER_PORTS : 0);
    h.tcp_flags = TCP_SYN;
    h.icmp_type = h.family == 4 ? ICMP_ECHO : ICMPV6_ECHO;
}

FlowJudge::Fate FlowJudge::judge(const struct flow& flow, const struct flow_addresses& addresses,
                                 const Naming& now, const std::vector<std::string>& next_rules) {
    if (flow.backend != 0 && !backend_stays(static_cast<u16>(flow.backend - 1))) return Fate::ended;
    set_headers(flow, addresses);
    context_.flags = CONTEXT_KNOWN | CONTEXT_REVALIDATE;
    context_.port = flow.nat_slot;
    context_.service = 0;
    context_.direction = 0;
    pipeline_.ref.flow = nullptr;
    if (claim_by_destination(&pipeline_) != 0 || context_.service != flow.service) return Fate::ended;
    if (stage_policy(&pipeline_) != 0) return Fate::denied;
    if (flow.generation != static_cast<u16>(now.generation)) return Fate::same;
    const std::string next = context_.rule == 0 ? "default" : next_rules.at(context_.rule - 1);
    return next == now.rule(flow.rule) ? Fate::same : Fate::other_rule;
}

api::FlowChanges judge_flows(const struct tables& tables, const Naming& now, const compile::Snapshot& next,
                             const std::vector<std::string>& next_rules,
                             const std::set<compile::BackendKey>& off, u32 ticks) {
    FlowJudge judge(next, now, off);
    api::FlowChanges changes;
    each_live_flow(tables, ticks, 0, [&](u64, const FlowCopy& copy) {
        const FlowJudge::Fate fate = judge.judge(copy.flow, copy.addresses, now, next_rules);
        ++changes.flows;
        if (fate == FlowJudge::Fate::ended) ++changes.ended;
        if (fate == FlowJudge::Fate::denied) ++changes.denied;
        if (fate == FlowJudge::Fate::other_rule) ++changes.other_rule;
        const bool changed = fate == FlowJudge::Fate::ended || fate == FlowJudge::Fate::denied;
        if (changed && changes.examples.size() < most_examples) {
            const FlowEnds ends = ends_of(copy);
            changes.examples.push_back(
                fmt::format("{} {} > {}: {}", protocol_name(copy.flow.initiator.protocol),
                            endpoint_text(ends.initiator, copy.flow.initiator.port),
                            endpoint_text(ends.responder, copy.flow.responder.port), fate_text(fate)));
        }
        return true;
    });
    return changes;
}

}  // namespace sluice::control
