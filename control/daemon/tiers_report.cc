// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/tiers.h"

namespace sluice::control {

namespace {

std::string first_of(const std::string& one, const std::string& other) { return one.empty() ? other : one; }

std::string decided_text(const InterfacePlan& plan, const TierPlan& tier) {
    if (!plan.moved_to || tier.decision.decided_by == config::DecidedBy::environment)
        return tier.decision.text();
    return fmt::format("{} (tier set {})", config::text(tier.decision.value), tier_name(*plan.moved_to));
}

}  // namespace

const Tiers::Device* Tiers::find(const std::string& name) const {
    const auto at = devices_.find(name);
    return at == devices_.end() ? nullptr : &at->second;
}

Status Tiers::check_requirements(const Plans& plans) const {
    for (const auto& [name, plan] : plans) {
        if (plan.require_dpdk && !(dpdk_.serves(name) && dpdk_.running()))
            return make_error("interface {}: require dpdk: {}", name,
                              first_of(dpdk_.refusal(name), no_dpdk_));
        const Device* device = find(name);
        const bool attached = device != nullptr && device->attachment;
        const std::string refusal = first_of(open_refusal_, device != nullptr ? device->program_refusal : "");
        if (plan.require_native && (!attached || device->attachment->mode != XdpMode::native))
            return make_error("interface {}: require xdp_native: {}", name,
                              first_of(refusal, "not in native mode"));
        if (!plan.require_af_xdp) continue;
        const bool zero_copy = plan.zero_copy == ZeroCopy::require;
        std::string why;
        if (!attached || !device->engine || !pool_)
            why = first_of(refusal, first_of(device != nullptr ? device->engine_refusal : "", no_workers_));
        else if (zero_copy && !pool_->zero_copy(device->ifindex))
            why = "a worker's sockets on all interfaces share one mode: " +
                  pool_->zero_copy_refusal(device->ifindex);
        else
            continue;
        return make_error("interface {}: require {}: {}", name, zero_copy ? "af_xdp_zero_copy" : "af_xdp",
                          why);
    }
    return {};
}

Status Tiers::check_moved(const InterfacePlan& plan) const {
    if (!plan.moved_to) return {};
    const auto refuse = [&](const std::string& why) {
        return make_error("interface {}: tier {}: {}", plan.name, tier_name(*plan.moved_to), why);
    };
    const Device* const device = find(plan.name);
    const bool attached = device != nullptr && device->attachment;
    const std::string program =
        first_of(open_refusal_, device != nullptr ? device->program_refusal : "the interface does not exist");
    switch (*plan.moved_to) {
        case config::Tier::dpdk:
            if (!dpdk_.serves(plan.name)) return refuse(first_of(dpdk_.refusal(plan.name), "no device"));
            if (dpdk_.behind_program(plan.name) && !attached) return refuse(program);
            return dpdk_.running() ? Status{} : refuse(first_of(no_dpdk_, "no workers"));
        case config::Tier::xdp: return attached ? Status{} : refuse(program);
        case config::Tier::af_xdp:
            if (!attached) return refuse(program);
            return engine_runs(plan.name) ? Status{} : refuse(first_of(device->engine_refusal, no_workers_));
        case config::Tier::epoll:
            if (attached) return refuse("the XDP program is still there");
            return plan.name != withheld_ && plan.packets && claims_ && !packets_.serves(plan.name)
                       ? refuse(no_packets(plan))
                       : Status{};
    }
    return {};
}

std::string Tiers::unserved(const InterfacePlan& plan) const {
    if (dpdk_.serves(plan.name)) {
        if (dpdk_.running()) return "";
        return fmt::format("interface {}: {}", plan.name, first_of(no_dpdk_, "not brought up yet"));
    }
    if (packets_.serves(plan.name)) return "";
    if (!plan.program() && !plan.dpdk)
        return plan.packets && claims_ ? fmt::format("interface {}: {}", plan.name, no_packets(plan)) : "";
    if (!plan.program())
        return plan.dpdk ? first_of(dpdk_.refusal(plan.name), fmt::format("interface {}: no DPDK", plan.name))
                         : "";
    if (!xdp_) return fmt::format("interface {}: {}", plan.name, open_refusal_);
    const Device* device = find(plan.name);
    if (device != nullptr && device->attachment) return "";
    return fmt::format(
        "interface {}: {}", plan.name,
        device == nullptr ? "not brought up yet"
                          : first_of(device->program_refusal, first_of(device->engine_refusal, no_workers_)));
}

api::TierReport Tiers::report_xdp(const Device* device, const InterfacePlan& plan) const {
    api::TierReport report;
    if (!xdp_ || device == nullptr || !device->attachment) {
        report.reason = first_of(open_refusal_, device != nullptr ? device->program_refusal : "");
        return report;
    }
    const XdpAttachment& attachment = *device->attachment;
    report.active = plan.xdp;
    report.mode = xdp_mode_name(attachment.mode);
    if (!attachment.native_refusal.empty())
        report.reason = fmt::format("native: {}", attachment.native_refusal);
    if (!attachment.dispatcher_refusal.empty())
        report.reason +=
            fmt::format("{}dispatcher: {}", report.reason.empty() ? "" : "; ", attachment.dispatcher_refusal);
    return report;
}

api::TierReport Tiers::report_af_xdp(const Device* device) const {
    api::TierReport report;
    if (device == nullptr || !device->engine || !pool_) {
        const std::string program = first_of(open_refusal_, device != nullptr ? device->program_refusal : "");
        report.reason =
            first_of(program, first_of(device != nullptr ? device->engine_refusal : "", no_workers_));
        return report;
    }
    report.active = true;
    report.mode = pool_->zero_copy(device->ifindex) ? "zero-copy" : "copy";
    const std::string refusal = pool_->zero_copy_refusal(device->ifindex);
    if (!refusal.empty()) report.reason = fmt::format("zero-copy: {}", refusal);
    return report;
}

std::string Tiers::no_packets(const InterfacePlan& plan) const {
    return first_of(packets_.refusal(plan.name), mirror_.view().link(plan.name) != nullptr
                                                     ? "not brought up yet"
                                                     : "the interface does not exist");
}

// Of packet sockets alone; the proxy's part of the tier is not an interface's.
api::TierReport Tiers::report_packets(const InterfacePlan& plan, const Device* device) const {
    if (packets_.serves(plan.name)) return packets_.tier_report(plan.name);
    api::TierReport report;
    if (!claims_)
        report.reason =
            "nothing to do for packet sockets: no service, managed prefix or tunnel claims packets";
    else if (device != nullptr && device->attachment)
        report.reason = "packet sockets are not needed: the XDP program serves the interface";
    else
        report.reason = "packet sockets: " + no_packets(plan);
    return report;
}

std::vector<api::TierReport> Tiers::tier_reports(const InterfacePlan& plan) const {
    std::vector<api::TierReport> reports;
    const Device* device = find(plan.name);
    for (const TierPlan& tier : plan.tiers) {
        api::TierReport report;
        if (!tier.wanted)
            report.reason = tier.why_not;
        else if (tier.tier == config::Tier::dpdk)
            report = dpdk_.tier_report(plan.name);
        else if (dpdk_.serves(plan.name))
            report.reason = "not needed: dpdk serves the interface";
        else if (tier.tier == config::Tier::epoll)
            report = report_packets(plan, device);
        else if (tier.tier == config::Tier::xdp)
            report = report_xdp(device, plan);
        else if (tier.tier == config::Tier::af_xdp)
            report = report_af_xdp(device);
        report.tier = tier_name(tier.tier);
        report.decided = decided_text(plan, tier);
        reports.push_back(std::move(report));
    }
    return reports;
}

}  // namespace sluice::control
