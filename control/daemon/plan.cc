// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/plan.h"

#include <algorithm>

namespace sluice::control {

namespace {

bool requires_it(const config::Interface& interface, config::Requirement requirement) {
    return std::find(interface.require.begin(), interface.require.end(), requirement) !=
           interface.require.end();
}

TierPlan plan_tier(const config::TierDecision& from) {
    TierPlan plan{from.tier, from.decision, false, ""};
    if (from.decision.value == config::Switch::off)
        plan.why_not = fmt::format("switched off by the {}", config::text(from.decision.decided_by));
    else
        plan.wanted = true;
    return plan;
}

Status refuse(const config::Interface& interface, const char* requirement, const InterfacePlan& plan,
              config::Tier tier) {
    for (const TierPlan& each : plan.tiers) {
        if (each.tier == tier)
            return make_error("interface {}: require {}: {} is {}", interface.name, requirement,
                              tier_name(tier), each.why_not);
    }
    return make_error("interface {}: require {}: no such tier here", interface.name, requirement);
}

}  // namespace

std::string_view tier_name(config::Tier tier) {
    switch (tier) {
        case config::Tier::dpdk: return "dpdk";
        case config::Tier::xdp: return "xdp";
        case config::Tier::af_xdp: return "af_xdp";
        case config::Tier::epoll: return "epoll";
    }
    return "";
}

bool claims_packets(const config::Config& config) {
    const auto forwarded = [](const config::Service& each) { return each.mode != config::Mode::proxy; };
    return !config.policy.managed.empty() || !config.tunnels.empty() ||
           std::any_of(config.services.begin(), config.services.end(), forwarded);
}

// A flag of the environment beats a move, as it beats the file.
static Status check_move(InterfacePlan& plan) {
    for (TierPlan& tier : plan.tiers) {
        const bool by_flag = tier.decision.decided_by == config::DecidedBy::environment &&
                             tier.decision.value != config::Switch::automatic;
        const bool aim = tier.tier == *plan.moved_to;
        const bool sockets_of_xdp = plan.moved_to == config::Tier::xdp && tier.tier == config::Tier::af_xdp;
        if (!tier.wanted && !by_flag)
            tier.why_not = fmt::format("the interface was moved to {} (tier set)", tier_name(*plan.moved_to));
        if (by_flag && aim != tier.wanted && !sockets_of_xdp)
            return make_error("interface {}: tier {}: {} is switched {} by the environment", plan.name,
                              tier_name(*plan.moved_to), tier_name(tier.tier), tier.wanted ? "on" : "off");
    }
    return {};
}

Result<InterfacePlan> plan_interface(const config::Interface& interface, const config::TierFlags& flags,
                                     std::optional<config::Tier> moved_to) {
    using config::Requirement;
    InterfacePlan plan;
    plan.name = interface.name;
    plan.moved_to = moved_to;
    for (const config::TierDecision& decision : config::decide_tiers(flags, interface)) {
        plan.tiers.push_back(plan_tier(decision));
        if (decision.tier == config::Tier::dpdk) plan.dpdk = plan.tiers.back().wanted;
        if (decision.tier == config::Tier::xdp) plan.xdp = plan.tiers.back().wanted;
        if (decision.tier == config::Tier::af_xdp) plan.af_xdp = plan.tiers.back().wanted;
        if (decision.tier == config::Tier::epoll) plan.packets = plan.tiers.back().wanted;
    }
    if (moved_to) {
        if (Status status = check_move(plan); !status) return status.error();
    }
    plan.dpdk_behind_program = interface.dpdk && interface.dpdk->device.starts_with("net_af_xdp");
    const bool zero_copy = requires_it(interface, Requirement::af_xdp_zero_copy);
    plan.require_native = requires_it(interface, Requirement::xdp_native);
    plan.require_af_xdp = zero_copy || requires_it(interface, Requirement::af_xdp);
    if (zero_copy) plan.zero_copy = ZeroCopy::require;
    if (plan.require_native && !plan.program()) {
        if (Status status = refuse(interface, "xdp_native", plan, config::Tier::xdp); !status)
            return status.error();
    }
    if (plan.require_af_xdp && !plan.af_xdp) {
        const char* word = zero_copy ? "af_xdp_zero_copy" : "af_xdp";
        if (Status status = refuse(interface, word, plan, config::Tier::af_xdp); !status)
            return status.error();
    }
    plan.require_dpdk = requires_it(interface, Requirement::dpdk);
    if (plan.require_dpdk && !plan.dpdk) {
        if (Status status = refuse(interface, "dpdk", plan, config::Tier::dpdk); !status)
            return status.error();
    }
    return plan;
}

}  // namespace sluice::control
