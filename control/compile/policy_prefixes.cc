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
    const auto except = side == &config::Rule::from ? &config::Except::from : &config::Except::to;
    RuleBits base(rows.rules());
    for (u32 rule = 0; rule < policy.rules.size(); ++rule) {
        const config::AddressMatch& match = policy.rules[rule].*side;
        if (match.empty() || is_learned(policy, match))
            base.set(rule);
        else
            add(rule, match, false);
        add(rule, policy.rules[rule].except.*except, true);
    }
    if (!std::is_sorted(items_.begin(), items_.end())) std::sort(items_.begin(), items_.end());
    items_.erase(std::unique(items_.begin(), items_.end()), items_.end());
    base_ = rows.intern(base);
}

void PolicyPrefixes::add(u32 rule, const config::AddressMatch& match, bool excepts) {
    if (match.empty()) return;
    used_ = true;
    for (const std::string& name : match.sets) {
        std::vector<u32>& rules = groups_[group_of_set(name, excepts)].rules;
        if (rules.empty() || rules.back() != rule) rules.push_back(rule);
    }
    if (match.prefixes.empty()) return;
    const u32 group = group_of_rule(rule, excepts);
    for (const config::Prefix& prefix : match.prefixes) items_.push_back({PrefixKey::of(prefix), group});
}

u32 PolicyPrefixes::group_of_rule(u32 rule, bool excepts) {
    groups_.push_back({{rule}, excepts});
    return static_cast<u32>(groups_.size() - 1);
}

// A set that is not there lists nothing; that it has to be is for the configuration's validation.
u32 PolicyPrefixes::group_of_set(const std::string& name, bool excepts) {
    const auto [at, added] = set_groups_.emplace(std::pair(name, excepts), static_cast<u32>(groups_.size()));
    if (!added) return at->second;
    groups_.push_back({{}, excepts});
    const auto set = policy_.sets.find(name);
    if (set == policy_.sets.end()) return at->second;
    for (const config::Prefix& prefix : set->second.prefixes)
        items_.push_back({PrefixKey::of(prefix), at->second});
    return at->second;
}

u32 PolicyPrefixes::inside(u32 parent, const std::vector<u32>& groups) {
    if (groups.empty()) return parent;
    u64 list = groups.front();
    if (groups.size() > 1) list = lists_.emplace(groups, groups_.size() + lists_.size()).first->second;
    const auto [at, added] = extended_.emplace(u64{parent} << 32 | list, 0);
    if (added) at->second = extend(parent, groups);
    return at->second;
}

u32 PolicyPrefixes::extend(u32 parent, const std::vector<u32>& groups) {
    bool masked = parent >= RowSet::limit;
    RuleBits listed = masked ? masked_[parent - RowSet::limit].listed : rows_.bits(parent);
    RuleBits excepted = masked ? masked_[parent - RowSet::limit].excepted : RuleBits(rows_.rules());
    for (const u32 group : groups) {
        masked = masked || groups_[group].excepts;
        RuleBits& bits = groups_[group].excepts ? excepted : listed;
        for (const u32 rule : groups_[group].rules) bits.set(rule);
    }
    if (!masked) return rows_.intern(listed);
    const u32 row = rows_.intern(listed.without(excepted));
    masked_.push_back({std::move(listed), std::move(excepted), row});
    return RowSet::limit + static_cast<u32>(masked_.size() - 1);
}

u32 PolicyPrefixes::inside(u32 parent, std::span<const Item> run) {
    std::vector<u32> groups;
    for (const Item& item : run) groups.push_back(item.group);
    return inside(parent, groups);
}

}  // namespace sluice::compile
