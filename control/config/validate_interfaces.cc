// SPDX-License-Identifier: Apache-2.0
#include "control/config/validate.h"

#include <algorithm>
#include <set>

#include "dataplane/tables/node.h"

namespace sluice::config {

namespace {

void check_sub_interface(const Interface& interface, Checker& check) {
    for (const std::string_view key :
         {"tiers", "require", "queues", "vlan", "mac", "mtu", "promiscuous", "dpdk"}) {
        if (check.given(interface.where, key)) {
            check.wrong(interface.where, key,
                        "nothing: a sub-interface takes name and addresses, the rest is its parent's");
        }
    }
}

bool has(const std::vector<Requirement>& all, Requirement one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

void check_tiers(const Interface& interface, Checker& check) {
    if (has(interface.require, Requirement::dpdk) && !interface.dpdk) {
        check.wrong(interface.where, "require", "no dpdk for an interface without a dpdk section");
    }
    if (!interface.tiers) return;
    const std::set<Tier> tiers(interface.tiers->begin(), interface.tiers->end());
    if (tiers.size() != interface.tiers->size()) check.wrong(interface.where, "tiers", "each tier once");
    if (interface.dpdk && !tiers.contains(Tier::dpdk)) {
        check.wrong(interface.where, "tiers", "dpdk among the tiers of an interface with a dpdk section");
    }
    if (!interface.dpdk && tiers.contains(Tier::dpdk)) {
        check.wrong(interface.where, "dpdk", "a section that names the device, as the tiers include dpdk");
    }
    const bool wants_xsk =
        has(interface.require, Requirement::af_xdp) || has(interface.require, Requirement::af_xdp_zero_copy);
    if (wants_xsk && !tiers.contains(Tier::af_xdp)) {
        check.wrong(interface.where, "tiers", "af_xdp among the tiers, as require asks for it");
    }
    if (has(interface.require, Requirement::xdp_native) && !tiers.contains(Tier::xdp) &&
        !tiers.contains(Tier::af_xdp)) {
        check.wrong(interface.where, "tiers",
                    "xdp or af_xdp among the tiers, as require asks for xdp_native");
    }
}

}  // namespace

std::optional<SubInterfaceName> sub_interface_name(const std::vector<Interface>& interfaces,
                                                   std::string_view name) {
    const size_t dot = name.rfind('.');
    if (dot == std::string_view::npos) return std::nullopt;
    const auto tag = parse_number(name.substr(dot + 1), 4094);
    const std::string_view parent = name.substr(0, dot);
    const bool declared = std::any_of(interfaces.begin(), interfaces.end(),
                                      [&](const Interface& interface) { return interface.name == parent; });
    if (!tag || *tag == 0 || !declared) return std::nullopt;
    return SubInterfaceName{std::string(parent), static_cast<uint16_t>(*tag)};
}

bool names_interface(const Config& config, std::string_view name) {
    const auto sub = sub_interface_name(config.interfaces, name);
    return std::any_of(config.interfaces.begin(), config.interfaces.end(), [&](const Interface& interface) {
        if (interface.name == name) return true;
        if (!sub || interface.name != sub->parent) return false;
        return std::find(interface.vlan.begin(), interface.vlan.end(), sub->tag) != interface.vlan.end();
    });
}

void validate_interfaces(const Config& config, Checker& check) {
    std::set<std::string_view> names;
    size_t ports = 0;
    const size_t most_ports = NODE_PORTS - 1;
    for (const Interface& interface : config.interfaces) {
        const size_t before = ports;
        if (!sub_interface_name(config.interfaces, interface.name)) ports += 1 + interface.vlan.size();
        if (before <= most_ports && ports > most_ports)
            check.wrong_here(interface.where,
                             fmt::format("expected at most {} interfaces, tags included", most_ports));
        if (!names.insert(interface.name).second) check.wrong(interface.where, "name", "each interface once");
        const std::set<uint16_t> tags(interface.vlan.begin(), interface.vlan.end());
        if (tags.size() != interface.vlan.size()) check.wrong(interface.where, "vlan", "each tag once");
        if (sub_interface_name(config.interfaces, interface.name)) {
            check_sub_interface(interface, check);
        } else {
            check_tiers(interface, check);
        }
    }
}

}  // namespace sluice::config
