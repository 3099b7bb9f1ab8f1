// SPDX-License-Identifier: Apache-2.0
//
// Probes all backends of services that have a `health_check`, on the control loop: one timer for all of them,
// a socket only while a probe is under way (udp: for good). Control thread only.
#pragma once

#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <vector>

#include "control/compile/identities.h"
#include "control/health/backend_health.h"
#include "control/health/probe.h"
#include "control/health/track.h"

namespace sluice::health {

class Checker {
public:
    static constexpr size_t most_open = 4096;  // probes under way; the others are late by the wait

    // `changed` is called whenever a backend went up or down. `loop` outlives the checker.
    Checker(EventLoop& loop, std::function<void()> changed);
    ~Checker();

    // What is to be probed from now on. Backends that stay keep their state, and their probes unless what is
    // asked changed. Those among `down` that are new begin as down.
    void configure(const std::vector<config::Service>& services, const std::set<compile::BackendKey>& down);

    // False only for one that is probed and down.
    bool is_up(const compile::BackendKey& key) const;
    std::optional<BackendHealth> health(const compile::BackendKey& key) const;
    std::set<compile::BackendKey> down() const;
    size_t size() const { return targets_.size(); }

private:
    struct Target;
    struct Due {
        u64 at_ns;
        u64 id;  // of the target
        bool operator<(const Due& other) const { return at_ns > other.at_ns; }
    };

    void start(Target& target, u64 now);
    void finished(u64 id, Outcome outcome, const std::string& reason);
    void record(Target& target, bool success);
    void tick();
    void plan(Target& target, u64 at_ns);
    void arm();
    double jitter();

    EventLoop& loop_;
    std::function<void()> changed_;
    std::map<compile::BackendKey, std::unique_ptr<Target>> targets_;
    std::map<u64, Target*> by_id_;
    std::priority_queue<Due> due_;  // of targets that are gone, too
    u64 next_id_ = 1;
    size_t open_ = 0;
    EventLoop::Id timer_ = 0;
    u64 armed_for_ns_ = 0;
    std::minstd_rand random_;
};

}  // namespace sluice::health
