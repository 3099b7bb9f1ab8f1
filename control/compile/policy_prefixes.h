// SPDX-License-Identifier: Apache-2.0
//
// A prefix dimension of the policy: which rules a source, or a destination, leaves.
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
    // that name it.
    struct Item {
        PrefixKey prefix;
        u32 group = 0;
        auto operator<=>(const Item&) const = default;
    };

    // `side` is &Rule::from or &Rule::to. Both arguments have to outlive the object.
    PolicyPrefixes(const config::Policy& policy, config::AddressMatch config::Rule::*side, RowSet& rows);

    bool used() const { return used_; }                        // does any rule look at this side?
    const std::vector<Item>& items() const { return items_; }  // ascending, each once
    u32 base_row() const { return base_row_; }                 // for an address that no rule lists

    // Row for a prefix listed by `groups` (ascending) inside one that has row `parent`.
    u32 row(u32 parent, const std::vector<u32>& groups);

    // The same for items of one prefix.
    u32 row(u32 parent, std::span<const Item> run);

private:
    u32 group_of_rule(u32 rule);
    u32 group_of_set(const std::string& name);

    const config::Policy& policy_;
    RowSet& rows_;
    bool used_ = false;
    u32 base_row_ = 0;
    std::vector<std::vector<u32>> groups_;  // rules of each
    std::map<std::string, u32> set_groups_;
    std::vector<Item> items_;
    std::map<std::vector<u32>, u32> lists_;  // several groups that list one prefix
    std::unordered_map<u64, u32> extended_;  // (parent row, group or list) -> row
};

}  // namespace sluice::compile
