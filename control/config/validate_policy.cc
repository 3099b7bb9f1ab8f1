// SPDX-License-Identifier: Apache-2.0
#include "control/config/validate.h"

#include <algorithm>
#include <set>

namespace sluice::config {

namespace {

constexpr uint8_t icmp = 1;
constexpr uint8_t tcp = 6;
constexpr uint8_t icmpv6 = 58;

constexpr std::string_view not_for_sources = "no set of domain names: they are for destinations (to)";
constexpr std::string_view not_for_exceptions =
    "no set of domain names: write a rule before this one that has it under to";

bool has_ports(uint8_t protocol) { return protocol == tcp || protocol == 17 || protocol == 132; }

void check_protocol_keys(const Rule& rule, Checker& check) {
    if (!rule.protocol) return;
    const bool is_icmp = *rule.protocol == icmp || *rule.protocol == icmpv6;
    if (!rule.ports.empty() && !has_ports(*rule.protocol)) {
        check.wrong(rule.where, "ports", "no ports for a protocol other than tcp, udp and sctp");
    }
    if (!rule.source_ports.empty() && !has_ports(*rule.protocol)) {
        check.wrong(rule.where, "source_ports", "no ports for a protocol other than tcp, udp and sctp");
    }
    if (!rule.icmp_types.empty() && !is_icmp) {
        check.wrong(rule.where, "icmp_types", "no ICMP types for a protocol other than icmp and icmpv6");
    }
    if (rule.tcp_flags && *rule.protocol != tcp) {
        check.wrong(rule.where, "tcp_flags", "no TCP flags for a protocol other than tcp");
    }
}

void check_except(const Rule& rule, Checker& check) {
    const bool ports = !rule.except.ports.empty() || !rule.except.source_ports.empty();
    if (ports && rule.protocol && !has_ports(*rule.protocol)) {
        check.wrong_here(rule.except.where, "no ports for a protocol other than tcp, udp and sctp");
    }
}

// Keys that no packet can meet together, even where the protocol is left open.
void check_open_protocol(const Rule& rule, Checker& check) {
    const bool wants_ports = !rule.ports.empty() || !rule.source_ports.empty();
    if (!rule.icmp_types.empty() && (wants_ports || rule.tcp_flags)) {
        check.wrong(rule.where, "icmp_types", "no ICMP types beside ports or TCP flags: no packet has both");
    }
}

void check_action(const Rule& rule, Checker& check) {
    if (rule.action == Action::rate_limit && !rule.rate) {
        check.wrong(rule.where, "rate", "the rate of a rate_limit rule");
    }
    if (rule.action != Action::rate_limit && rule.rate) {
        check.wrong(rule.where, "rate", "no rate but with the action rate_limit");
    }
    if (rule.rate && rule.rate->packets.has_value() == rule.rate->bytes.has_value()) {
        check.wrong(rule.where, "rate", "exactly one of packets and bytes");
    }
    if (rule.action == Action::evaluate && !rule.when) {
        check.wrong(rule.where, "when", "the conditions of an evaluate rule");
    }
    if (rule.action != Action::evaluate && rule.when) {
        check.wrong(rule.where, "when", "no conditions but with the action evaluate");
    }
    if (rule.dry_run && (rule.action == Action::rate_limit || rule.action == Action::evaluate)) {
        check.wrong(rule.where, "dry_run", "no dry run but of allow, drop and reject");
    }
    const bool lets_nothing_through = rule.action == Action::drop || rule.action == Action::reject;
    if (lets_nothing_through && rule.set_dscp) {
        check.wrong(rule.where, "set_dscp", "no mark on what is dropped or rejected");
    }
    if (lets_nothing_through && rule.priority) {
        check.wrong(rule.where, "priority", "no priority for what is dropped or rejected");
    }
}

// Whether an address is in a set of domain names is asked about destinations, and apart from prefixes.
// `refused`: what is expected instead where they may not stand; empty: they may.
void check_learned(const Mark& where, const AddressMatch& match, std::string_view key,
                   std::string_view refused, const Config& config, Checker& check) {
    const auto learned = [&](const std::string& name) {
        const auto set = config.policy.sets.find(name);
        return set != config.policy.sets.end() && !set->second.fqdn.empty();
    };
    const auto count = std::count_if(match.sets.begin(), match.sets.end(), learned);
    if (count == 0) return;
    if (!refused.empty()) return check.wrong(where, key, refused);
    if (!match.prefixes.empty() || count != static_cast<std::ptrdiff_t>(match.sets.size()))
        check.wrong(where, key, "sets of domain names alone, or none");
}

bool is_domain_name(std::string_view name) {
    if (name.starts_with("*.")) name.remove_prefix(2);
    if (name.ends_with('.')) name.remove_suffix(1);
    const auto plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '_' || c == '.';
    };
    return !name.empty() && name.size() <= 253 && name.front() != '.' &&
           name.find("..") == std::string_view::npos && std::all_of(name.begin(), name.end(), plain);
}

void check_sets(const Mark& where, const AddressMatch& match, std::string_view key,
                std::string_view no_domain_names, const Config& config, Checker& check) {
    for (const std::string& set : match.sets) {
        if (config.policy.sets.contains(set)) continue;
        std::vector<std::string> names;
        for (const auto& [name, ignored] : config.policy.sets) names.push_back(name);
        check.wrong_entry(where, key, "set:" + set,
                          fmt::format("the name of a set under policy.sets{}", suggestion(set, names)));
    }
    check_learned(where, match, key, no_domain_names, config, check);
}

}  // namespace

void validate_policy(const Config& config, Checker& check) {
    for (const auto& [name, set] : config.policy.sets) {
        const int sources = check.given(set.where, "file") + check.given(set.where, "prefixes") +
                            check.given(set.where, "fqdn");
        for (const std::string& domain : set.fqdn) {
            if (!is_domain_name(domain))
                check.wrong_entry(set.where, "fqdn", domain, "a domain name, or *. and a domain name");
        }
        if (sources != 1) check.wrong_here(set.where, "expected exactly one of file, prefixes and fqdn");
    }
    std::set<std::string_view> names;
    for (const Rule& rule : config.policy.rules) {
        if (!names.insert(rule.name).second) check.wrong(rule.where, "name", "each rule's name once");
        check_protocol_keys(rule, check);
        check_open_protocol(rule, check);
        check_action(rule, check);
        check_except(rule, check);
        check_sets(rule.where, rule.from, "from", not_for_sources, config, check);
        check_sets(rule.where, rule.to, "to", "", config, check);
        check_sets(rule.except.where, rule.except.from, "from", not_for_sources, config, check);
        check_sets(rule.except.where, rule.except.to, "to", not_for_exceptions, config, check);
    }
}

}  // namespace sluice::config
