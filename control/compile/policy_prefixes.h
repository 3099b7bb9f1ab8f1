// SPDX-License-Identifier: Apache-2.0
//
// A prefix dimension of the policy: which rules a source, or a destination, leaves. A rule leaves out what
// its `except` lists, however long the prefixes inside are that it lists, too.
#pragma once

#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "control/compile/prefix.h"
#include "control/compile/row_set.h"
#include "control/config/config.h"
#include "dataplane/base/result.h"

namespace sluice::compile {

class PolicyPrefixes {
public:
    // A prefix that some rules list. A group is what lists it: a rule itself, or a set with all the rules
    // that name it; what rules except has groups of its own.
    struct Item {
        PrefixKey prefix;
        u32 group = 0;
        auto operator<=>(const Item&) const = default;
    };

    // `side` is &Rule::from or &Rule::to. Both arguments have to outlive the object.
    PolicyPrefixes(const config::Policy& policy, config::AddressMatch config::Rule::*side, RowSet& rows);

    bool used() const { return used_; }                        // does any rule look at this side?
    const std::vector<Item>& items() const { return items_; }  // ascending, each once

    // What is known of a prefix: for an address that no rule lists, and for a prefix listed by `groups`
    // (ascending), or by the items of one prefix, inside another.
    u32 base() const { return base_; }
    u32 inside(u32 parent, const std::vector<u32>& groups);
    u32 inside(u32 parent, std::span<const Item> run);

    // The row that it selects.
    u32 row(u32 state) const { return state < RowSet::limit ? state : masked_[state - RowSet::limit].row; }

private:
    struct Group {
        std::vector<u32> rules;
        bool excepts = false;
    };

    // Of a prefix inside one that rules except; all others are known by their row.
    struct Masked {
        RuleBits listed;
        RuleBits excepted;
        u32 row = 0;
    };

    void add(u32 rule, const config::AddressMatch& match, bool excepts);
    u32 group_of_rule(u32 rule, bool excepts);
    u32 group_of_set(const std::string& name, bool excepts);
    u32 extend(u32 parent, const std::vector<u32>& groups);

    const config::Policy& policy_;
    RowSet& rows_;
    bool used_ = false;
    u32 base_ = 0;
    std::vector<Group> groups_;
    std::map<std::pair<std::string, bool>, u32> set_groups_;
    std::vector<Item> items_;
    std::vector<Masked> masked_;
    std::map<std::vector<u32>, u32> lists_;  // several groups that list one prefix
    std::unordered_map<u64, u32> extended_;  // (parent, group or list) -> what is known inside
};

}  // namespace sluice::compile
