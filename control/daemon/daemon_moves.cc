// SPDX-License-Identifier: Apache-2.0
//
// `sluicectl tier set`.
#include <algorithm>

#include "control/daemon/daemon.h"
#include "dataplane/base/log.h"

namespace sluice::control {

bool Daemon::kernel_can_have(const config::Interface& interface) const {
    return loans_.holds(interface.name) || DeviceLoans::can_be_lent(interface);
}

Result<TierMoves> Daemon::moves_with(const std::string& interface, std::optional<config::Tier> tier) const {
    return with_move(moves_, sections_, interface, tier,
                     [this](const config::Interface& each) { return kernel_can_have(each); });
}

Status Daemon::set_tier_now(const std::string& interface, const std::string& tier) {
    const auto wanted = tier_of(tier);
    if (!wanted) return wanted.error();
    const auto moves = moves_with(interface, *wanted);
    if (!moves) return moves.error();
    if (*wanted && *wanted != config::Tier::epoll && !tiers_->is_open())
        return make_error("interface {}: tier {}: the daemon started without any tier of ours", interface,
                          tier);
    const auto section = std::find_if(sections_.begin(), sections_.end(),
                                      [&](const auto& each) { return each.name == interface; });
    const bool to_dpdk = *wanted == config::Tier::dpdk;
    Status status;
    if (to_dpdk && DeviceLoans::can_be_lent(*section)) {
        status = lend(*section);
    } else if (!to_dpdk && loans_.holds(interface)) {
        status = take_back(interface, *wanted);
    } else {
        status = move(interface, *wanted);
    }
    if (status) spdlog::info("interface {}: moved to tier {}", interface, tier);
    return status;
}

// A snapshot of its own, as with a reload, so that all tiers see the same ports.
Status Daemon::move(const std::string& interface, std::optional<config::Tier> tier) {
    const auto moves = moves_with(interface, tier);
    if (!moves) return moves.error();
    config::Config config = config_;
    config.interfaces = moved(sections_, *moves);
    Result<Candidate> candidate = prepare(std::move(config), *moves);
    if (!candidate) return candidate.error();
    const InterfacePlan& plan = candidate->plans.at(interface);
    if (plan.needs_program() && tiers_->xdp() == nullptr && (plan.program() || plan.dpdk_behind_program))
        return make_error(
            "interface {}: tier {}: it needs the XDP program, and no interface wanted that when the daemon "
            "started: the tables lie in its own memory",
            interface, tier ? tier_name(*tier) : "auto");
    tiers_->try_again(interface);
    return apply_or_restore(std::move(*candidate), [&] { return tiers_->check_moved(plans_.at(interface)); });
}

// To no tier at all, packet sockets included.
Status Daemon::withdraw(const std::string& interface) {
    tiers_->withhold(interface);
    Status status = move(interface, config::Tier::epoll);
    tiers_->withhold("");
    return status;
}

// The device is nobody's for a moment, and its link down: what arrives meanwhile is lost, but meets no stack
// that would answer connections it does not know. Flows stay in their table.
Status Daemon::lend(const config::Interface& section) {
    const std::string name = section.name;
    const auto before = moves_.find(name);
    const std::optional<config::Tier> tier_before =
        before == moves_.end() ? std::nullopt : std::optional(before->second);
    Status status = loans_.prepare(section, mirror_->view());
    if (!status) return status;
    status = withdraw(name);
    if (status) status = loans_.lend(name);
    if (status) status = mirror_->ask_now();
    if (status) status = move(name, config::Tier::dpdk);
    if (status) {
        loans_.restore(name);
        return {};
    }
    const Status undone = take_back(name, tier_before);
    if (!undone) spdlog::error("{}", undone.error().message);
    return status;
}

Status Daemon::take_back(const std::string& interface, std::optional<config::Tier> tier) {
    loans_.remember(interface);
    Status status = withdraw(interface);
    if (status) status = loans_.give_back(interface);
    if (status) status = mirror_->ask_now();
    if (!status) return status;
    status = move(interface, tier);
    loans_.restore(interface);
    return status;
}

}  // namespace sluice::control
