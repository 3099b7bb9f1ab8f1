// SPDX-License-Identifier: Apache-2.0
#include "control/health/checker.h"

#include <algorithm>

#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

namespace sluice::health {

namespace {

constexpr u64 ns_per_ms = 1'000'000;
constexpr u64 granularity_ns = 2 * ns_per_ms;  // probes that are due this near to each other go together
constexpr u64 late_ns = 20 * ns_per_ms;        // until one that found no room is tried again
constexpr double half_life_intervals = 30;
constexpr double jitter_share = 0.1;

double seconds(u64 ns) { return static_cast<double>(ns) / 1e9; }
u64 ns_of(config::Duration duration) { return static_cast<u64>(duration.count()) * ns_per_ms; }

TrackSettings track_settings(const config::HealthCheck& check) {
    return {check.unhealthy, check.healthy, half_life_intervals * seconds(ns_of(check.interval))};
}

u16 probed_port(const config::Service& service, const config::Backend& backend) {
    if (backend.port) return *backend.port;
    return service.ports.ranges.empty() ? u16{0} : service.ports.ranges.front().lo;
}

}  // namespace

struct Checker::Target {
    Target(EventLoop& loop, u64 number, compile::BackendKey name, const config::HealthCheck& wanted, u16 to)
        : id(number),
          key(std::move(name)),
          check(wanted),
          port(to),
          track(track_settings(wanted)),
          probe(loop, {wanted.type, key.address, to, wanted.path}) {}

    u64 id;
    compile::BackendKey key;
    config::HealthCheck check;
    u16 port;
    Track track;
    Probe probe;
    BackendHealth counts;  // of it only what the track does not know
    u64 since_ns = monotonic_ns();
    u64 started_ns = 0;
};

Checker::Checker(EventLoop& loop, std::function<void()> changed)
    : loop_(loop),
      changed_(std::move(changed)),
      random_(static_cast<std::minstd_rand::result_type>(monotonic_ns())) {}

Checker::~Checker() {
    if (timer_ != 0) loop_.remove(timer_);
}

double Checker::jitter() { return std::uniform_real_distribution(0.0, 1.0)(random_); }

void Checker::configure(const std::vector<config::Service>& services,
                        const std::set<compile::BackendKey>& down) {
    const u64 now = monotonic_ns();
    std::map<compile::BackendKey, std::unique_ptr<Target>> next;
    for (const config::Service& service : services) {
        if (!service.health_check) continue;
        for (const config::Backend& backend : service.backends) {
            if (backend.state == config::BackendState::disabled) continue;
            const compile::BackendKey key = compile::key_of(service, backend);
            const u16 port = probed_port(service, backend);
            auto& before = targets_[key];
            auto& target = next[key];
            if (before && before->check == *service.health_check && before->port == port) {
                target = std::move(before);
                continue;
            }
            target = std::make_unique<Target>(loop_, next_id_++, key, *service.health_check, port);
            if (before ? !before->track.up() : down.contains(key)) target->track.restore_down();
            by_id_[target->id] = target.get();
            plan(*target,
                 now + static_cast<u64>(jitter() * static_cast<double>(ns_of(target->check.interval))));
        }
    }
    for (const auto& [key, gone] : targets_) {
        if (!gone) continue;
        by_id_.erase(gone->id);
        if (gone->probe.running()) --open_;
    }
    targets_ = std::move(next);
    arm();
}

void Checker::plan(Target& target, u64 at_ns) { due_.push({at_ns, target.id}); }

void Checker::arm() {
    while (!due_.empty() && !by_id_.contains(due_.top().id)) due_.pop();
    if (due_.empty()) return;
    const u64 now = monotonic_ns();
    const u64 at = std::max(due_.top().at_ns, now + granularity_ns);
    if (timer_ != 0 && armed_for_ns_ <= at) return;
    if (timer_ != 0) loop_.remove(timer_);
    timer_ = 0;
    armed_for_ns_ = at;
    auto timer = loop_.after(std::chrono::nanoseconds(at - now), [this] { tick(); });
    if (timer)
        timer_ = *timer;
    else
        spdlog::error("health checks: {}", timer.error().message);
}

// What is due of a target that has a probe under way is that probe's end.
void Checker::tick() {
    timer_ = 0;
    const u64 now = monotonic_ns();
    while (!due_.empty() && due_.top().at_ns <= now) {
        const auto at = by_id_.find(due_.top().id);
        due_.pop();
        if (at == by_id_.end()) continue;
        Target& target = *at->second;
        if (target.probe.running())
            target.probe.expire();
        else if (open_ >= most_open)
            plan(target, now + late_ns);
        else
            start(target, now);
    }
    arm();
}

void Checker::start(Target& target, u64 now) {
    ++open_;
    target.started_ns = now;
    const u64 id = target.id;
    plan(target, now + ns_of(target.check.timeout));
    target.probe.start(
        [this, id](Outcome outcome, const std::string& reason) { finished(id, outcome, reason); });
}

void Checker::finished(u64 id, Outcome outcome, const std::string& reason) {
    --open_;
    Target& target = *by_id_.at(id);
    target.counts.last_seconds = seconds(monotonic_ns() - target.started_ns);
    // A target has one entry in due_: under a number of its own it does not meet the end of this probe.
    by_id_.erase(id);
    target.id = next_id_++;
    by_id_[target.id] = &target;
    const double share = 1 - jitter_share + 2 * jitter_share * jitter();
    const u64 next =
        target.started_ns + static_cast<u64>(share * static_cast<double>(ns_of(target.check.interval)));
    plan(target, std::max(next, monotonic_ns()));
    arm();
    if (outcome == Outcome::unable) {
        target.counts.unable++;
        spdlog::warn("health check of {} {}: cannot be made: {}", target.key.service, target.key.text(),
                     reason);
        return;
    }
    if (outcome == Outcome::failure) target.counts.last_error = reason;
    record(target, outcome == Outcome::success);
}

void Checker::record(Target& target, bool success) {
    (success ? target.counts.succeeded : target.counts.failed)++;
    const u64 now = monotonic_ns();
    if (!target.track.add(success, seconds(now))) return;
    const bool up = target.track.up();
    (up ? target.counts.went_up : target.counts.went_down)++;
    target.since_ns = now;
    if (up)
        spdlog::info("service {}: backend {} is up", target.key.service, target.key.text());
    else
        spdlog::warn("service {}: backend {} is down: {}{}", target.key.service, target.key.text(),
                     target.counts.last_error,
                     target.track.damped() ? "; it flaps, and stays down for a while" : "");
    changed_();
}

bool Checker::is_up(const compile::BackendKey& key) const {
    const auto at = targets_.find(key);
    return at == targets_.end() || at->second->track.up();
}

std::optional<BackendHealth> Checker::health(const compile::BackendKey& key) const {
    const auto at = targets_.find(key);
    if (at == targets_.end()) return std::nullopt;
    const Target& target = *at->second;
    const u64 now = monotonic_ns();
    BackendHealth out = target.counts;
    out.up = target.track.up();
    out.probed = target.track.probed();
    out.damped = target.track.damped();
    out.penalty = target.track.penalty(seconds(now));
    out.successes = target.track.successes();
    out.failures = target.track.failures();
    out.since = seconds(now - target.since_ns);
    return out;
}

std::set<compile::BackendKey> Checker::down() const {
    std::set<compile::BackendKey> keys;
    for (const auto& [key, target] : targets_) {
        if (!target->track.up()) keys.insert(key);
    }
    return keys;
}

}  // namespace sluice::health
