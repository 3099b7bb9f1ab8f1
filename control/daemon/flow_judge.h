// SPDX-License-Identifier: Apache-2.0
//
// What another snapshot would do to live flows: the packet path's claim and policy over it, asked about each
// flow as after a reload. One thread, any.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "control/api/model.h"
#include "control/compile/compiler.h"
#include "control/daemon/naming.h"
#include "dataplane/pipeline/policy.h"

namespace sluice::control {

class FlowJudge {
public:
    enum class Fate : u8 { same, other_rule, denied, ended };

    // The judged snapshot's image, what is known by which number now and then, and which backends get nothing
    // then. All outlive the judge.
    FlowJudge(const compile::Snapshot& next, const Naming& now, const std::set<compile::BackendKey>& off);

    Fate judge(const struct flow& flow, const struct flow_addresses& addresses, const Naming& now,
               const std::vector<std::string>& next_rules);

private:
    bool backend_stays(u16 backend_id) const { return backend_id < stays_.size() && stays_[backend_id]; }
    void set_headers(const struct flow& flow, const struct flow_addresses& addresses);

    std::vector<bool> stays_;  // backends, by their number now
    std::unique_ptr<node_state> node_ = std::make_unique<node_state>();
    std::vector<pair_counters> counters_;
    struct pipeline pipeline_ {};
    pipeline_context context_{};
};

// All live flows of `tables`, which are only read.
api::FlowChanges judge_flows(const struct tables& tables, const Naming& now, const compile::Snapshot& next,
                             const std::vector<std::string>& next_rules,
                             const std::set<compile::BackendKey>& off, u32 ticks);

}  // namespace sluice::control
