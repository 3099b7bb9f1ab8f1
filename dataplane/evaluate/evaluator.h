// SPDX-License-Identifier: Apache-2.0
//
// The thread that decides what a header cannot: whether the conditions of an evaluate rule hold for a new
// connection. Engines ask through their links; verdicts go back the same way, and the engine enters them in
// the flow table.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "dataplane/base/event_loop.h"
#include "dataplane/evaluate/authorizer.h"
#include "dataplane/evaluate/connections.h"
#include "dataplane/evaluate/dns_answer.h"
#include "dataplane/evaluate/learned_table.h"
#include "dataplane/evaluate/rules.h"
#include "dataplane/worker/evaluation_link.h"

namespace sluice::evaluate {

struct EvaluatorStatistics {
    u64 questions = 0;
    u64 answers_lost = 0;  // an engine that did not take them any more
    u64 waiting = 0;       // asked and not read yet; not a sum
    u64 connections = 0;   // held by sources, as far as known; not a sum
    u64 wakes = 0;         // from sleep
    u64 dns_answers = 0;   // that passed and were read
    u64 dns_unread = 0;    // that passed and were not
    u64 learned = 0;       // addresses in FQDN sets; not a sum
    u64 learned_replaced = 0;
};

class Evaluator {
public:
    // `view`: the flow table; `node`: with the table of learned addresses. What they point at outlives the
    // object.
    static Result<std::unique_ptr<Evaluator>> start(const struct tables& view, node_state& node);
    ~Evaluator();
    Evaluator(const Evaluator&) = delete;
    Evaluator& operator=(const Evaluator&) = delete;

    // A link for one engine, served from now on, until the engine's side lets go of it.
    Result<std::shared_ptr<EvaluationLink>> connect();

    // In force when it returns: for questions and DNS answers that are read from then on. Of the FQDN sets in
    // `changed` (bit per set) nothing is known any more. Not from the evaluator's own thread.
    void set_rules(std::shared_ptr<const Rules> rules, std::shared_ptr<const FqdnNames> names, u32 changed);

    EvaluatorStatistics statistics() const;

private:
    Evaluator(const struct tables& view, node_state& node)
        : view_(view), connections_(view), learned_(node) {}

    Status open();
    void serve();
    bool drain();
    using Link = std::shared_ptr<EvaluationLink>;
    bool drain(const Link& link);
    void read(const DnsMessage& message);
    void tend();
    void take(const Link& link, const EvaluationQuestion& question);
    void consult(const Link& link, const EvaluationQuestion& question, const Rule& rule);
    void authorized(const Link& link, const EvaluationQuestion& question, const Rule& rule,
                    Authorization answer);
    Outcome count_in(const Rule& rule, const EvaluationQuestion& question);
    bool within_quota(const Rule& rule, const EvaluationQuestion& question);
    void settle(EvaluationLink& link, const EvaluationQuestion& question, const Rule* rule, Outcome outcome);
    void revoke(const flow_query& flow);

    struct tables view_;
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<Authorizer> authorizer_;
    AuthorizationCache authorizations_;
    std::shared_ptr<Waker> waker_;
    std::shared_ptr<const Rules> rules_ = std::make_shared<Rules>();
    std::vector<std::shared_ptr<EvaluationLink>> links_;
    std::shared_ptr<const FqdnNames> names_ = std::make_shared<FqdnNames>();
    Connections connections_;
    LearnedTable learned_;
    std::unordered_map<u16, u64>
        quotas_;           // by rule id: when the next one is due, ns (generic cell rate algorithm)
    u64 past_unread_ = 0;  // of links that are closed
    Counter questions_, answers_lost_, wakes_, waiting_, held_, dns_answers_, dns_unread_;
    std::thread thread_;  // last: it uses the others
};

}  // namespace sluice::evaluate
