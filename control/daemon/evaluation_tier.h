// SPDX-License-Identifier: Apache-2.0
//
// Evaluation on this node: the thread that decides for evaluate rules, what it is told, and what it counts.
// Control thread only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/api/model.h"
#include "control/compile/compiler.h"
#include "dataplane/worker/evaluation_link.h"

namespace sluice {
struct tables;
}

namespace sluice::evaluate {
class Evaluator;
struct RuleCounters;
}  // namespace sluice::evaluate

namespace sluice::control {

class EvaluationTier {
public:
    EvaluationTier();
    ~EvaluationTier();

    // Both outlive the tier.
    Status start(const struct tables& tables, node_state& node);

    // Before the snapshot is in force: no question about it may meet the rules of the one before.
    void apply(const config::Config& config, const compile::Snapshot& snapshot);

    // For a new engine; null, with a warning in the log, when there is none to be had.
    std::shared_ptr<EvaluationLink> connect();

    // Of a rule; nothing when it is no evaluate rule.
    std::optional<api::EvaluationReport> report(const std::string& rule) const;
    std::optional<api::EvaluatorReport> report() const;

private:
    std::unique_ptr<evaluate::Evaluator> evaluator_;
    std::map<std::string, std::shared_ptr<evaluate::RuleCounters>> counters_;  // by rule name
    std::map<u16, std::pair<std::string, std::vector<std::string>>> sets_;     // FQDN sets by id
};

}  // namespace sluice::control
