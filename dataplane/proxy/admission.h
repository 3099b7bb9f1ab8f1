// SPDX-License-Identifier: Apache-2.0
//
// Decides about a new connection with the code of the packet tiers: whose is it (claim), what says the policy
// (first matching rule, its rate), which backend (the Maglev ring). A connection is judged as its SYN would
// be.
#pragma once

#include <atomic>
#include <vector>

#include "dataplane/pipeline/backend.h"
#include "dataplane/proxy/settings.h"
#include "dataplane/proxy/socket_address.h"

namespace sluice::proxy {

// Meters of rate-limited rules, shared by all loops.
class Meters {
public:
    explicit Meters(u32 rules = POLICY_MAX_WORDS * 64U);

    node_state node{};
    std::vector<u64> rules;
    std::vector<source_meter_bucket> sources;
};

// Open connections by backend id, shared by all loops: what least_connections goes by.
using OpenConnections = std::vector<std::atomic<u32>>;

struct Arrival {
    Endpoint client;
    Endpoint destination;  // as the client sent it
    u8 protocol = 6;
    u32 ingress = 0;  // port number; 0: not known
    Arrives arrives = Arrives::as_addressed;
};

struct Backend {
    Endpoint endpoint;
    u16 id = 0;
};

enum class Decision : u8 { allowed, denied, unclaimed };

// Of one loop.
class Admission {
public:
    Admission(Meters& meters, const OpenConnections& open);

    void set_snapshot(std::shared_ptr<const Snapshot> snapshot);
    const Snapshot& snapshot() const { return *snapshot_; }

    // For a new connection; counts the rule that decides. Afterwards service(), rule() and choose() are about
    // this arrival.
    Decision admit(const Arrival& arrival);
    // For one that is open: nothing is counted or metered.
    Decision recheck(const Arrival& arrival);

    const ServiceSettings* service() const { return service_; }
    bool goes_on() const { return original_; }        // to where it was going
    u32 rule() const { return context_.rule; }        // position + 1; 0: the default
    u32 dry_run() const { return context_.dry_run; }  // the same of the one in dry run that would decide
    bool rules_ask_for_ingress() const;

    // A backend that is up and not among `tried` (ids); false: there is none.
    bool choose(const u16* tried, u32 count, Backend& out);
    // Whether backend `id` at `endpoint` is still one of the service's, draining ones included.
    bool has_backend(u16 id, const Endpoint& endpoint) const;

    const std::vector<pair_counters>& rule_counters() const { return rule_counters_; }

private:
    Decision judge(const Arrival& arrival, u32 flags);
    const ServiceSettings* claim(const Arrival& arrival);
    const image_backend* backend_at(const image_service& record, u32 position) const;
    bool choose_by_hash(const u16* tried, u32 count, Backend& out);
    bool choose_least(const u16* tried, u32 count, Backend& out);
    bool choose_next(const u16* tried, u32 count, Backend& out);
    void set(const image_backend& backend, Backend& out) const;

    Meters& meters_;
    const OpenConnections& open_;
    std::shared_ptr<const Snapshot> snapshot_;
    std::vector<const ServiceSettings*> by_id_;
    const ServiceSettings* service_ = nullptr;
    bool original_ = false;  // goes on to where it was going
    std::vector<pair_counters> rule_counters_;
    std::vector<u32> turns_;  // round robin, by service id
    pipeline_context context_{};
    struct pipeline pipeline_ {};
};

}  // namespace sluice::proxy
