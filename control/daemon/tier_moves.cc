// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/tier_moves.h"

#include <algorithm>

#include "control/daemon/plan.h"
#include "dataplane/io/netlink/device_queues.h"

namespace sluice::control {

namespace {

using config::Tier;

std::vector<Tier> tiers_for(Tier tier) {
    if (tier == Tier::xdp)
        return {Tier::xdp, Tier::af_xdp};  // whose sockets take what the program hands over
    return {tier};
}

config::DpdkPort over_kernel_interface(const config::Interface& interface) {
    config::DpdkPort port;
    port.rx_queues = interface.queues.value_or(netlink::receive_queues(interface.name));
    port.device = fmt::format("net_af_xdp_{0},iface={0},queue_count={1}", interface.name, port.rx_queues);
    port.host_path = config::HostPath::tap;
    return port;
}

}  // namespace

Result<std::optional<Tier>> tier_of(const std::string& word) {
    if (word == "auto") return std::optional<Tier>{};
    for (const Tier tier : {Tier::xdp, Tier::af_xdp, Tier::dpdk, Tier::epoll}) {
        if (word == tier_name(tier)) return std::optional<Tier>{tier};
    }
    return make_error("tier: value \"{}\": expected xdp, af_xdp, dpdk, epoll or auto", word);
}

std::vector<config::Interface> moved(std::vector<config::Interface> interfaces, const TierMoves& moves) {
    for (config::Interface& interface : interfaces) {
        const auto move = moves.find(interface.name);
        if (interface.is_sub_interface() || move == moves.end()) continue;
        interface.tiers = tiers_for(move->second);
        if (move->second == Tier::dpdk && !interface.dpdk) interface.dpdk = over_kernel_interface(interface);
    }
    return interfaces;
}

Result<TierMoves> with_move(const TierMoves& moves, const std::vector<config::Interface>& interfaces,
                            const std::string& interface, std::optional<Tier> tier,
                            const std::function<bool(const config::Interface&)>& lendable) {
    const auto section = std::find_if(interfaces.begin(), interfaces.end(),
                                      [&](const auto& each) { return each.name == interface; });
    if (section == interfaces.end())
        return make_error("interface {}: expected one of the configuration's", interface);
    if (section->is_sub_interface())
        return make_error("interface {}: its packets are its device's: expected {}", interface,
                          section->parent);
    const bool kernel_has_it =
        !section->dpdk || section->dpdk->device.starts_with("net_af_xdp") || (lendable && lendable(*section));
    if (tier && *tier != Tier::dpdk && !kernel_has_it)
        return make_error(
            "interface {}: tier {}: {} belongs to DPDK alone: the kernel has no interface of it", interface,
            tier_name(*tier), section->dpdk->device.substr(0, section->dpdk->device.find(',')));
    TierMoves next = moves;
    next.erase(interface);
    if (tier) next.emplace(interface, *tier);
    return next;
}

}  // namespace sluice::control
