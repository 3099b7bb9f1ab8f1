// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/evaluation_tier.h"

#include "dataplane/base/log.h"
#include "dataplane/evaluate/evaluator.h"

namespace sluice::control {

namespace {

u64 nanoseconds(config::Duration duration) { return static_cast<u64>(duration.count()) * 1'000'000; }

evaluate::Rule rule_of(const config::Rule& rule) {
    const config::When& when = *rule.when;
    evaluate::Rule out;
    out.name = rule.name;
    if (when.schedule)
        out.schedule = {when.schedule->days, when.schedule->start_minute, when.schedule->end_minute};
    out.max_connections_per_source = when.max_connections_per_source.value_or(0);
    out.new_connections = when.new_connections.value_or(0);
    if (when.authorizer) {
        out.authorizer = {when.authorizer->url, static_cast<u32>(when.authorizer->timeout.count()),
                          nanoseconds(when.authorizer->cache),
                          when.authorizer->on_failure == config::DefaultAction::allow};
    }
    return out;
}

// Counters apart.
evaluate::Rules evaluation_rules(const config::Config& config, const compile::Identities& identities) {
    evaluate::Rules rules(identities.rules.bound());
    for (const config::Rule& rule : config.policy.rules) {
        if (rule.action == config::Action::evaluate && rule.when)
            rules[identities.rules.at(rule.name)] = rule_of(rule);
    }
    return rules;
}

}  // namespace

EvaluationTier::EvaluationTier() = default;
EvaluationTier::~EvaluationTier() = default;

Status EvaluationTier::start(const struct tables& tables, node_state& node) {
    auto evaluator = evaluate::Evaluator::start(tables, node);
    if (!evaluator) return evaluator.error().with_context("evaluator");
    evaluator_ = std::move(*evaluator);
    return {};
}

void EvaluationTier::apply(const config::Config& config, const compile::Snapshot& snapshot) {
    if (!evaluator_) return;
    auto rules = std::make_shared<evaluate::Rules>(evaluation_rules(config, snapshot.identities));
    std::map<std::string, std::shared_ptr<evaluate::RuleCounters>> counters;
    for (std::optional<evaluate::Rule>& rule : *rules) {
        if (!rule) continue;
        const auto before = counters_.find(rule->name);
        rule->counters =
            before != counters_.end() ? before->second : std::make_shared<evaluate::RuleCounters>();
        counters[rule->name] = rule->counters;
    }
    counters_ = std::move(counters);
    auto names = std::make_shared<evaluate::FqdnNames>();
    std::map<u16, std::pair<std::string, std::vector<std::string>>> sets;
    for (const auto& [name, set] : config.policy.sets) {
        if (set.fqdn.empty()) continue;
        const u16 id = snapshot.identities.fqdn_sets.at(name);
        sets[id] = {name, set.fqdn};
        for (const std::string& domain : set.fqdn) names->add(domain, 1U << id);
    }
    u32 changed = 0;  // what a set knew under other names, or another set under its number, is nobody's
    for (const auto& [id, before] : sets_) {
        const auto now = sets.find(id);
        if (now == sets.end() || now->second != before) changed |= 1U << id;
    }
    sets_ = std::move(sets);
    evaluator_->set_rules(std::move(rules), std::move(names), changed);
}

std::shared_ptr<EvaluationLink> EvaluationTier::connect() {
    if (!evaluator_) return nullptr;
    auto link = evaluator_->connect();
    if (link) return *link;
    spdlog::warn("an engine has nobody to ask about evaluate rules: {}", link.error().message);
    return nullptr;
}

std::optional<api::EvaluationReport> EvaluationTier::report(const std::string& rule) const {
    const auto at = counters_.find(rule);
    if (at == counters_.end()) return std::nullopt;
    api::EvaluationReport out;
    const evaluate::RuleCounters& counters = *at->second;
    for (size_t i = 0; i < evaluate::outcomes; ++i)
        out.outcomes.emplace_back(evaluate::outcome_name(i), counters.by_outcome[i].get());
    out.cached = counters.cached.get();
    for (size_t i = 0; i < evaluate::LatencyCounters::buckets; ++i)
        out.latency.buckets.push_back(counters.latency.count(i));
    out.latency.sum_ns = counters.latency.sum_ns();
    return out;
}

std::optional<api::EvaluatorReport> EvaluationTier::report() const {
    if (!evaluator_) return std::nullopt;
    const evaluate::EvaluatorStatistics s = evaluator_->statistics();
    return api::EvaluatorReport{s.questions,   s.answers_lost, s.waiting, s.connections,     s.wakes,
                                s.dns_answers, s.dns_unread,   s.learned, s.learned_replaced};
}

}  // namespace sluice::control
