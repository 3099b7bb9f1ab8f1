// SPDX-License-Identifier: Apache-2.0
//
// What a compiled image must answer, worked out the slow and obvious way from the configuration itself.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "control/compile/environment.h"
#include "control/config/config.h"

namespace sluice::naive {

struct Packet {
    config::Address source;
    config::Address destination;
    uint8_t protocol = 6;
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    uint8_t tcp_flags = 0;
    uint8_t icmp_type = 0;
    uint8_t dscp = 0;
    const compile::LogicalPort* port = nullptr;

    bool has_ports() const { return protocol == 6 || protocol == 17 || protocol == 132; }
};

// Prefixes by length, so that a set of a million can be asked.
class PrefixSet {
public:
    explicit PrefixSet(const std::vector<config::Prefix>& prefixes) {
        for (const config::Prefix& prefix : prefixes) lengths_[prefix.length].insert(prefix);
    }
    bool contains(const config::Address& address) const {
        for (const auto& [length, prefixes] : lengths_) {
            config::Prefix wanted{address, length};
            for (uint32_t bit = length; bit < 128; ++bit) {
                wanted.address.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80 >> (bit % 8)));
            }
            if (prefixes.contains(wanted) && wanted.contains(address)) return true;
        }
        return false;
    }

private:
    std::map<uint8_t, std::set<config::Prefix>> lengths_;
};

inline bool in_ranges(const config::PortRanges& ranges, uint16_t value) {
    return std::any_of(ranges.begin(), ranges.end(), [&](const config::PortRange& range) {
        return range.lo <= value && value <= range.hi;
    });
}

inline bool excepts_ports(const config::Except& except, const Packet& packet) {
    return packet.has_ports() && (in_ranges(except.ports, packet.destination_port) ||
                                  in_ranges(except.source_ports, packet.source_port));
}

inline bool matches_transport(const config::Rule& rule, const Packet& packet) {
    if (excepts_ports(rule.except, packet)) return false;
    if (rule.protocol && *rule.protocol != packet.protocol) return false;
    if (!rule.ports.empty() && (!packet.has_ports() || !in_ranges(rule.ports, packet.destination_port)))
        return false;
    if (!rule.source_ports.empty() &&
        (!packet.has_ports() || !in_ranges(rule.source_ports, packet.source_port))) {
        return false;
    }
    if (!rule.icmp_types.empty()) {
        const bool icmp = packet.protocol == 1 || packet.protocol == 58;
        if (!icmp || !in_ranges(rule.icmp_types, packet.icmp_type)) return false;
    }
    if (!rule.tcp_flags) return true;
    return packet.protocol == 6 && (packet.tcp_flags & rule.tcp_flags->set) == rule.tcp_flags->set &&
           (packet.tcp_flags & rule.tcp_flags->clear) == 0;
}

class Policy {
public:
    explicit Policy(const config::Policy& policy) : policy_(policy) {
        for (const auto& [name, set] : policy.sets) sets_.emplace(name, set.prefixes);
    }

    // The first rule that matches, from 1, those in dry run left out; 0: the default decides.
    uint32_t first_rule(const Packet& packet, const std::string& service) const {
        return first_rule(packet, service, false);
    }
    // The one in dry run that would decide; 0: none.
    uint32_t dry_run(const Packet& packet, const std::string& service) const {
        const uint32_t rule = first_rule(packet, service, true);
        return rule != 0 && policy_.rules[rule - 1].dry_run ? rule : 0;
    }

private:
    uint32_t first_rule(const Packet& packet, const std::string& service, bool dry_run) const {
        for (uint32_t i = 0; i < policy_.rules.size(); ++i) {
            const config::Rule& rule = policy_.rules[i];
            if ((dry_run || !rule.dry_run) && matches(rule, packet, service)) return i + 1;
        }
        return 0;
    }

    bool lists(const config::AddressMatch& match, const config::Address& address) const {
        const auto covers = [&](const config::Prefix& prefix) { return prefix.contains(address); };
        if (match.empty() || std::any_of(match.prefixes.begin(), match.prefixes.end(), covers)) return true;
        return std::any_of(match.sets.begin(), match.sets.end(),
                           [&](const std::string& name) { return sets_.at(name).contains(address); });
    }

    bool matches(const config::Rule& rule, const Packet& packet, const std::string& service) const {
        if (!matches_transport(rule, packet)) return false;
        if (rule.dscp && *rule.dscp != packet.dscp) return false;
        if (!rule.interface.empty() && rule.interface != packet.port->name) return false;
        if (rule.vlan && *rule.vlan != packet.port->vlan) return false;
        if (!rule.service.empty() && rule.service != service) return false;
        const config::Except& except = rule.except;
        if (!except.from.empty() && lists(except.from, packet.source)) return false;
        if (!except.to.empty() && lists(except.to, packet.destination)) return false;
        return lists(rule.from, packet.source) && lists(rule.to, packet.destination);
    }

    const config::Policy& policy_;
    std::map<std::string, PrefixSet> sets_;
};

// The service that claims a packet: the longest VIP prefix with a claim; there a listed port goes before
// `any`.
inline const config::Service* service_of(const config::Config& config, const Packet& packet) {
    const config::Service* best = nullptr;
    const auto rank = [](const config::Service& service) {
        return 2 * service.vip.length + (service.ports.any ? 0 : 1);
    };
    for (const config::Service& service : config.services) {
        if (static_cast<uint8_t>(service.protocol) != packet.protocol ||
            !service.vip.contains(packet.destination))
            continue;
        if (!service.ports.any && !in_ranges(service.ports.ranges, packet.destination_port)) continue;
        if (best == nullptr || rank(service) > rank(*best)) best = &service;
    }
    return best;
}

// The longest of `prefixes` (with values) that contains an address.
template <typename Items>
std::optional<uint32_t> longest_match(const Items& items, const config::Address& address) {
    const typename Items::value_type* best = nullptr;
    for (const auto& item : items) {
        if (item.first.contains(address) && (best == nullptr || item.first.length > best->first.length))
            best = &item;
    }
    return best == nullptr ? std::nullopt : std::optional(best->second);
}

}  // namespace sluice::naive
