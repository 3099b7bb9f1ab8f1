// SPDX-License-Identifier: Apache-2.0
#include "control/metrics/families.h"
#include "control/metrics/family_builder.h"
#include "dataplane/tables/learned.h"

namespace sluice::metrics {

namespace {

using Families = std::vector<prometheus::MetricFamily>;

void by_rule(const api::Report& report, Families& out) {
    auto evaluations = FamilyBuilder::counter("sluice_evaluations_total",
                                              "New connections judged for an evaluate rule, by how.");
    auto cached = FamilyBuilder::counter("sluice_evaluation_cached_total",
                                         "Of these, by an authorizer's answer to the same question before.");
    prometheus::MetricFamily latency;
    latency.name = "sluice_evaluation_latency_seconds";
    latency.help = "From the arrival of a connection's first packet to its verdict.";
    latency.type = prometheus::MetricType::Histogram;
    for (const api::RuleReport& rule : report.rules) {
        if (!rule.evaluation) continue;
        for (const auto& [outcome, count] : rule.evaluation->outcomes)
            evaluations.add({{"rule", rule.name}, {"outcome", outcome}}, count);
        cached.add({{"rule", rule.name}}, rule.evaluation->cached);
        latency.metric.push_back(histogram_of({{"rule", rule.name}}, rule.evaluation->latency));
    }
    out.push_back(evaluations.take());
    out.push_back(cached.take());
    out.push_back(std::move(latency));
}

}  // namespace

void evaluation_families(const api::Report& report, Families& out) {
    if (!report.evaluator) return;
    by_rule(report, out);
    const api::EvaluatorReport& e = *report.evaluator;
    const auto single = [&](FamilyBuilder builder, u64 value) {
        builder.add({}, value);
        out.push_back(builder.take());
    };
    single(FamilyBuilder::counter("sluice_evaluation_questions_total", "Questions of all engines."),
           e.questions);
    single(FamilyBuilder::counter("sluice_evaluation_unasked_total",
                                  "Packets that got their rule's fallback: nobody could be asked."),
           report.flows.counters.evaluations_unasked);
    single(FamilyBuilder::counter("sluice_evaluation_answers_lost_total",
                                  "Verdicts that an engine did not take."),
           e.answers_lost);
    single(FamilyBuilder::gauge("sluice_evaluation_waiting", "Questions that wait to be read."), e.waiting);
    single(FamilyBuilder::gauge("sluice_evaluation_connections",
                                "Connections known to be held under rules that limit them by source."),
           e.connections);
    single(FamilyBuilder::counter("sluice_dns_answers_total", "DNS answers that passed and were read."),
           e.dns_answers);
    single(FamilyBuilder::counter("sluice_dns_unread_total", "DNS answers that passed unread."),
           e.dns_unread);
    single(FamilyBuilder::gauge("sluice_learned_addresses", "Addresses known for names of FQDN sets."),
           e.learned);
    single(FamilyBuilder::gauge("sluice_learned_capacity", "Addresses that there is room for."),
           LEARNED_SLOTS);
    single(FamilyBuilder::counter("sluice_learned_replaced_total",
                                  "Known addresses that gave way to others before their time."),
           e.learned_replaced);
    single(FamilyBuilder::counter("sluice_evaluation_wakes_total", "Times the evaluator woke."), e.wakes);
}

}  // namespace sluice::metrics
