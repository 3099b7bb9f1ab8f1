// SPDX-License-Identifier: Apache-2.0
#include "control/compile/policy_prefixes.h"

#include <algorithm>

namespace sluice::compile {

namespace {

// Its addresses come from DNS answers: a dimension of its own (PolicyFields::fqdn).
bool is_learned(const config::Policy& policy, const config::AddressMatch& match) {
    return std::any_of(match.sets.begin(), match.sets.end(), [&](const std::string& name) {
        const auto set = policy.sets.find(name);
        return set != policy.sets.end() && !set->second.fqdn.empty();
    });
}

}  // namespace

PolicyPrefixes::PolicyPrefixes(const config::Policy& policy, config::AddressMatch config::Rule::*side,
                               RowSet& rows)
    : policy_(policy), rows_(rows) {
    RuleBits base(rows.rules());
    for (u32 rule = 0; rule < policy.rules.size(); ++rule) {
        const config::AddressMatch& match = policy.rules[rule].*side;
        if (match.empty() || is_learned(policy, match)) {
            base.set(rule);
            continue;
        }
        used_ = true;
        for (const std::string& name : match.sets) {
            std::vector<u32>& group = groups_[group_of_set(name)];
            if (group.empty() || group.back() != rule) group.push_back(rule);
        }
        if (match.prefixes.empty()) continue;
        const u32 group = group_of_rule(rule);
        for (const config::Prefix& prefix : match.prefixes) items_.push_back({PrefixKey::of(prefix), group});
    }
    if (!std::is_sorted(items_.begin(), items_.end())) std::sort(items_.begin(), items_.end());
    items_.erase(std::unique(items_.begin(), items_.end()), items_.end());
    base_row_ = rows.intern(base);
}

u32 PolicyPrefixes::group_of_rule(u32 rule) {
    groups_.push_back({rule});
    return static_cast<u32>(groups_.size() - 1);
}

// A set that is not there lists nothing; that it has to be is for the configuration's validation.
u32 PolicyPrefixes::group_of_set(const std::string& name) {
    const auto [at, added] = set_groups_.emplace(name, static_cast<u32>(groups_.size()));
    if (!added) return at->second;
    groups_.emplace_back();
    const auto set = policy_.sets.find(name);
    if (set == policy_.sets.end()) return at->second;
    for (const config::Prefix& prefix : set->second.prefixes)
        items_.push_back({PrefixKey::of(prefix), at->second});
    return at->second;
}

u32 PolicyPrefixes::row(u32 parent, const std::vector<u32>& groups) {
    if (groups.empty()) return parent;
    u64 list = groups.front();
    if (groups.size() > 1) list = lists_.emplace(groups, groups_.size() + lists_.size()).first->second;
    const auto [at, added] = extended_.emplace(u64{parent} << 32 | list, 0);
    if (!added) return at->second;
    RuleBits bits = rows_.bits(parent);
    for (const u32 group : groups) {
        for (const u32 rule : groups_[group]) bits.set(rule);
    }
    return at->second = rows_.intern(bits);
}

u32 PolicyPrefixes::row(u32 parent, std::span<const Item> run) {
    std::vector<u32> groups;
    for (const Item& item : run) groups.push_back(item.group);
    return row(parent, groups);
}

}  // namespace sluice::compile
