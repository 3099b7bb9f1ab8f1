// SPDX-License-Identifier: Apache-2.0
#include "control/config/flags.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace sluice::config {

namespace {

struct FlagName {
    const char* variable;
    Flag TierFlags::*member;
};
constexpr FlagName flag_names[] = {{"ENABLE_XDP", &TierFlags::xdp},
                                   {"ENABLE_AF_XDP", &TierFlags::af_xdp},
                                   {"ENABLE_DPDK", &TierFlags::dpdk},
                                   {"ENABLE_EBPF", &TierFlags::ebpf},
                                   {"ENABLE_NUMA", &TierFlags::numa}};

constexpr Tier all_tiers[] = {Tier::dpdk, Tier::xdp, Tier::af_xdp, Tier::epoll};

std::optional<Switch> parse_switch(std::string_view value) {
    std::string lower(value);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    for (const Switch each : {Switch::automatic, Switch::on, Switch::off}) {
        if (lower == text(each)) return each;
    }
    return std::nullopt;
}

// What an interface's section says about a tier; empty: nothing.
std::optional<bool> stated(const Interface& interface, Tier tier) {
    if (!interface.tiers) return std::nullopt;
    return std::find(interface.tiers->begin(), interface.tiers->end(), tier) != interface.tiers->end();
}

}  // namespace

std::string_view text(Switch value) {
    switch (value) {
        case Switch::automatic: return "auto";
        case Switch::on: return "true";
        case Switch::off: return "false";
    }
    return "";
}

std::string_view text(DecidedBy value) {
    switch (value) {
        case DecidedBy::fallback: return "default";
        case DecidedBy::file: return "file";
        case DecidedBy::environment: return "environment";
    }
    return "";
}

Result<TierFlags> read_flags(const Lookup& lookup) {
    TierFlags flags;
    std::vector<std::string> wrong;
    for (const FlagName& name : flag_names) {
        const char* value = lookup(name.variable);
        if (value == nullptr || *value == '\0') continue;
        if (const auto parsed = parse_switch(value)) {
            flags.*name.member = {*parsed, DecidedBy::environment};
        } else {
            wrong.push_back(fmt::format("environment: {}: value \"{}\": expected true, false or auto",
                                        name.variable, value));
        }
    }
    if (!wrong.empty()) return Error{fmt::format("{}", fmt::join(wrong, "\n"))};
    return flags;
}

std::string Decision::text() const {
    const std::string_view other = value == Switch::off ? "true" : "false";
    return fmt::format("{} ({}{})", config::text(value), config::text(decided_by),
                       overruled ? fmt::format("; the file says {}", other) : "");
}

Decision decide(const Flag& flag, std::optional<bool> file) {
    if (flag.value != Switch::automatic) {
        const bool on = flag.value == Switch::on;
        return {flag.value, DecidedBy::environment, file.has_value() && *file != on};
    }
    if (file) return {*file ? Switch::on : Switch::off, DecidedBy::file, false};
    return {Switch::automatic, flag.decided_by, false};
}

Flag flag_of(const TierFlags& flags, Tier tier) {
    switch (tier) {
        case Tier::dpdk: return flags.dpdk;
        case Tier::xdp: return flags.xdp;
        case Tier::af_xdp: return flags.af_xdp;
        case Tier::epoll: break;
    }
    return {};
}

std::vector<TierDecision> decide_tiers(const TierFlags& flags, const Interface& interface) {
    std::vector<Tier> order = interface.tiers.value_or(std::vector<Tier>{});
    for (const Tier tier : all_tiers) {
        if (std::find(order.begin(), order.end(), tier) == order.end()) order.push_back(tier);
    }
    std::vector<TierDecision> decisions;
    for (const Tier tier : order) {
        if (tier == Tier::dpdk && !interface.dpdk) continue;  // there is no device that a flag could turn on
        decisions.push_back({tier, decide(flag_of(flags, tier), stated(interface, tier))});
    }
    return decisions;
}

}  // namespace sluice::config
