// SPDX-License-Identifier: Apache-2.0
#include "dataplane/evaluate/evaluator.h"

#include <pthread.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cmath>
#include <semaphore>

#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

namespace sluice::evaluate {

namespace {

using namespace std::chrono_literals;

constexpr u64 awake_ns = 50'000;    // how long the next question is waited for before the thread sleeps
constexpr u64 turn_ns = 1'000'000;  // how long questions may keep the loop from its other work
constexpr u32 least_ttl = 1;        // seconds that an address is known for at least, and at most
constexpr u32 most_ttl = 86400;
constexpr auto tidy_period = 1s;

u32 ticks_of(u64 ns) { return static_cast<u32>(ns >> 20); }

}  // namespace

Result<std::unique_ptr<Evaluator>> Evaluator::start(const struct tables& view, node_state& node) {
    std::unique_ptr<Evaluator> evaluator(new Evaluator(view, node));
    if (Status status = evaluator->open(); !status) return status.error();
    return evaluator;
}

Status Evaluator::open() {
    auto loop = EventLoop::create();
    if (!loop) return loop.error();
    loop_ = std::move(*loop);
    auto authorizer = Authorizer::create(*loop_);
    if (!authorizer) return authorizer.error();
    authorizer_ = std::move(*authorizer);
    auto waker = Waker::create();
    if (!waker) return waker.error();
    waker_ = std::make_shared<Waker>(std::move(*waker));
    if (auto id = loop_->watch(waker_->descriptor(), EPOLLIN, [this](std::uint32_t) { serve(); }); !id)
        return id.error();
    if (auto id = loop_->every(tidy_period, [this] { tend(); }); !id) return id.error();
    waker_->about_to_sleep();
    thread_ = std::thread([this] {
        if (Status status = loop_->run(); !status) spdlog::error("evaluator: {}", status.error().message);
    });
    pthread_setname_np(thread_.native_handle(), "sluice-ev");
    return {};
}

Evaluator::~Evaluator() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
}

Result<std::shared_ptr<EvaluationLink>> Evaluator::connect() {
    auto waker = Waker::create();
    if (!waker) return waker.error();
    auto link = std::make_shared<EvaluationLink>(waker_, std::move(*waker));
    loop_->post([this, link] {
        links_.push_back(link);
        serve();
    });
    return link;
}

void Evaluator::tend() {
    const u64 now = monotonic_ns();
    connections_.tidy(now);
    held_.set(connections_.held());
    learned_.sweep(ticks_of(now));
    u64 unread = past_unread_;
    for (const auto& link : links_) {
        unread += link->unobserved.get();
        if (link.use_count() == 1) past_unread_ += link->unobserved.get();
    }
    dns_unread_.set(unread);
    std::erase_if(links_, [](const auto& link) { return link.use_count() == 1; });
}

void Evaluator::set_rules(std::shared_ptr<const Rules> rules, std::shared_ptr<const FqdnNames> names,
                          u32 changed) {
    std::binary_semaphore in_force(0);
    loop_->post([this, &rules, &names, changed, &in_force] {
        rules_ = std::move(rules);
        authorizations_.clear();
        names_ = std::move(names);
        learned_.forget_sets(changed);
        in_force.release();
    });
    in_force.acquire();
}

// While questions keep coming the thread stays awake for the next one, which saves both sides a system call.
void Evaluator::serve() {
    wakes_.add(1);
    waker_->awake();
    const u64 started = monotonic_ns();
    u64 last = started;
    for (u64 now = started; now - last < awake_ns && now - started < turn_ns; now = monotonic_ns()) {
        if (drain()) last = now;
    }
    waker_->about_to_sleep();
    drain();
}

bool Evaluator::drain() {
    bool any = false;
    for (const auto& link : links_) any |= drain(link);
    return any;
}

bool Evaluator::drain(const Link& link) {
    bool any = false;
    waiting_.set(link->questions.size());
    while (const EvaluationQuestion* const question = link->questions.front()) {
        take(link, *question);
        link->questions.pop();
        any = true;
    }
    while (const DnsMessage* const message = link->messages.front()) {
        read(*message);
        link->messages.pop();
        any = true;
    }
    if (any) link->to_worker.wake();
    return any;
}

void Evaluator::read(const DnsMessage& message) {
    dns_answers_.add(1);
    const u32 now = ticks_of(monotonic_ns());
    for (const LearnedName& each : read_dns_answer({message.bytes.data(), message.length}, *names_)) {
        const u64 seconds = std::clamp(each.ttl, least_ttl, most_ttl);
        learned_.learn(each.address, each.sets, now + ticks_of(seconds * 1'000'000'000), now);
    }
}

void Evaluator::take(const Link& link, const EvaluationQuestion& question) {
    questions_.add(1);
    const bool there = question.rule < rules_->size() && (*rules_)[question.rule].has_value();
    const Rule* const rule = there ? &*(*rules_)[question.rule] : nullptr;
    if (rule == nullptr) return settle(*link, question, rule, Outcome::unknown_rule);
    if (rule->schedule && !rule->schedule->is_open(static_cast<int64_t>(wall_ns() / 1'000'000'000)))
        return settle(*link, question, rule, Outcome::schedule);
    if (rule->authorizer) return consult(link, question, *rule);
    settle(*link, question, rule, count_in(*rule, question));
}

// The answer may come when the rules are others already: the question is settled by those it was asked under.
void Evaluator::consult(const Link& link, const EvaluationQuestion& question, const Rule& rule) {
    const std::string key = AuthorizationCache::key_of(question);
    if (const bool* const known = authorizations_.find(key, monotonic_ns())) {
        rule.counters->cached.add(1);
        return authorized(link, question, rule, *known ? Authorization::allowed : Authorization::denied);
    }
    const auto answered = [this, link, question, key, rules = rules_, &rule](Authorization answer) {
        const u64 now = monotonic_ns();
        if (rule.authorizer->cache_ns != 0 && answer != Authorization::failed && rules == rules_)
            authorizations_.put(key, answer == Authorization::allowed, now + rule.authorizer->cache_ns);
        authorized(link, question, rule, answer);
        link->to_worker.wake();
    };
    authorizer_->ask(*rule.authorizer, authorization_request(rule.name, question), answered);
}

void Evaluator::authorized(const Link& link, const EvaluationQuestion& question, const Rule& rule,
                           Authorization answer) {
    Outcome outcome = Outcome::authorizer;
    if (answer == Authorization::allowed) outcome = count_in(rule, question);
    if (answer == Authorization::failed) {
        outcome = rule.authorizer->fail_open ? count_in(rule, question) : Outcome::failed_closed;
        if (outcome == Outcome::allowed) outcome = Outcome::failed_open;
    }
    settle(*link, question, &rule, outcome);
}

// The conditions that count what they let in, last of all.
Outcome Evaluator::count_in(const Rule& rule, const EvaluationQuestion& question) {
    if (rule.max_connections_per_source != 0 &&
        !connections_.admit(question.rule, question.flow, rule.max_connections_per_source, monotonic_ns()))
        return Outcome::connections;
    return within_quota(rule, question) ? Outcome::allowed : Outcome::new_connections;
}

// As the packet tiers' meters (generic cell rate algorithm), with one second's worth at once.
bool Evaluator::within_quota(const Rule& rule, const EvaluationQuestion& question) {
    if (rule.new_connections <= 0 || question.known) return true;
    const u64 now = monotonic_ns();
    const u64 cost = static_cast<u64>(std::llround(1e9 / rule.new_connections));
    u64& time = quotas_[question.rule];
    const u64 next = std::max(time, now) + cost;
    if (next - now > std::max<u64>(1'000'000'000, cost)) return false;
    time = next;
    return true;
}

void Evaluator::settle(EvaluationLink& link, const EvaluationQuestion& question, const Rule* rule,
                       Outcome outcome) {
    const u32 word = is_allowed(outcome) ? 0 : drop(REASON_EVALUATION);
    if (rule != nullptr) rule->counters->by_outcome[static_cast<size_t>(outcome)].add(1);
    if (question.ticket == 0) {
        if (word != 0) revoke(question.flow);
        return;
    }
    if (!link.answers.push({question.ticket, word})) answers_lost_.add(1);
    if (rule != nullptr) rule->counters->latency.add(monotonic_ns() - question.arrived_ns);
}

// Ends a flow that was allowed; its next packet is a new one, and denied.
void Evaluator::revoke(const flow_query& flow) {
    flow_place place{};
    flow_ref ref{nullptr, &place};
    if (flow_find(&view_, &flow, &ref) && (ref.flow->mode & MODE_MASK) != MODE_ALIAS)
        flow_remove(&view_, &ref);
}

EvaluatorStatistics Evaluator::statistics() const {
    return {questions_.get(),   answers_lost_.get(), waiting_.get(),   held_.get(),        wakes_.get(),
            dns_answers_.get(), dns_unread_.get(),   learned_.count(), learned_.replaced()};
}

}  // namespace sluice::evaluate
