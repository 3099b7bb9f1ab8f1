// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/confinement.h"

#include <algorithm>
#include <utility>

#include "control/sandbox/system_calls.h"
#include "dataplane/base/log.h"
#include "dataplane/io/pci/pci_address.h"

namespace sluice::control {

namespace {

bool contains(const std::vector<std::string>& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

sandbox::Needs needs_of(const config::Config& config, const Plans& plans, const config::TierFlags& flags) {
    sandbox::Needs needs;
    for (const auto& [name, plan] : plans) {
        needs.programs = needs.programs || plan.needs_program();
        needs.dpdk = needs.dpdk || plan.dpdk;
        needs.packets = needs.packets || (plan.packets && claims_packets(config));
    }
    for (const config::Interface& interface : config.interfaces) {
        const auto plan = plans.find(interface.name);
        if (plan == plans.end() || !plan->second.dpdk || !interface.dpdk) continue;
        needs.pci_devices = needs.pci_devices || !pci_address(interface.dpdk->device).empty();
    }
    needs.ebpf = flags.ebpf.value != config::Switch::off;
    return needs;
}

Status Confinement::take(const sandbox::Needs& needs) {
    if (std::exchange(taken_, true)) return {};
    const std::vector<std::string> before = sandbox::held_capabilities();
    if (Status status = sandbox::keep_capabilities(sandbox::needed_capabilities(needs)); !status)
        return status;
    const std::vector<std::string> now = sandbox::held_capabilities();
    for (const std::string& name : before) {
        if (!contains(now, name)) given_up_.push_back(name);
    }
    const std::string not_filterable = sandbox::not_filterable();
    const Status filtered =
        not_filterable.empty() ? sandbox::filter_system_calls() : make_error("{}", not_filterable);
    spdlog::info("capabilities: {}", now.empty() ? "none" : fmt::format("{}", fmt::join(now, ", ")));
    filtered_ = filtered.ok();
    if (!filtered_) not_filtered_ = filtered.error().message;
    if (filtered_)
        spdlog::info("system calls are filtered");
    else
        spdlog::warn("system calls are not filtered: {}", not_filtered_);
    return {};
}

Status Confinement::allows(const sandbox::Needs& needs) const {
    for (const std::string& name : sandbox::needed_capabilities(needs)) {
        if (contains(given_up_, name))
            return make_error(
                "interfaces: their tiers need {}, which was given up at the start: it takes a restart, "
                "the configuration in force stays",
                name);
    }
    return {};
}

api::ConfinementReport Confinement::report() const {
    api::ConfinementReport report{sandbox::held_capabilities(), filtered_, not_filtered_, {}};
    for (const auto& [name, count] : sandbox::refused_system_calls())
        report.refused_calls.emplace_back(name, count);
    return report;
}

void Confinement::leave(const char* reason) {
    not_filtered_ = reason;
    spdlog::warn("capabilities are kept and system calls not filtered: {}", reason);
}

void Confinement::log_refusals() {
    for (const auto& [name, count] : sandbox::refused_system_calls()) {
        if (contains(logged_, name)) continue;
        logged_.push_back(name);
        spdlog::error("system call refused: {}: it is not on the daemon's list", name);
    }
}

}  // namespace sluice::control
