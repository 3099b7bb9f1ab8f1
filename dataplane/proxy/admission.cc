// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/admission.h"

#include <algorithm>

#include "dataplane/base/clock.h"

namespace sluice::proxy {

namespace {

constexpr u32 source_buckets = 16384;
constexpr u32 hash_attempts = 16;

bool among(u16 id, const u16* tried, u32 count) {
    return std::find(tried, tried + count, id) != tried + count;
}

}  // namespace

Meters::Meters(u32 count) : rules(count), sources(source_buckets) { node.source_mask = source_buckets - 1; }

Admission::Admission(Meters& meters, const OpenConnections& open)
    : meters_(meters), open_(open), rule_counters_(meters.rules.size()) {
    pipeline_.context = &context_;
    pipeline_.ref.at = &context_.place;
    pipeline_.tables.node = &meters_.node;
    pipeline_.tables.meters = meters_.rules.data();
    pipeline_.tables.source_meters = meters_.sources.data();
}

void Admission::set_snapshot(std::shared_ptr<const Snapshot> snapshot) {
    snapshot_ = std::move(snapshot);
    pipeline_.tables.image = snapshot_->lines;
    pipeline_.tables.image_lines = snapshot_->line_count;
    u32 bound = 0;
    for (const ServiceSettings& service : snapshot_->services) bound = std::max(bound, service.id + 1U);
    by_id_.assign(bound, nullptr);
    for (const ServiceSettings& service : snapshot_->services) by_id_[service.id] = &service;
    turns_.resize(std::max<size_t>(turns_.size(), bound));
}

bool Admission::rules_ask_for_ingress() const {
    const image_policy* policy = image_policy_of(&pipeline_.tables);
    return policy != nullptr && policy->ports != 0;
}

const ServiceSettings* Admission::claim(const Arrival& arrival) {
    const image_policy* policy = image_policy_of(&pipeline_.tables);
    context_.policy_destination_row = 0;
    original_ = false;
    if (verdict_of(claim_by_destination(&pipeline_)) == VERDICT_PROXY)
        return context_.service <= by_id_.size() ? by_id_[context_.service - 1] : nullptr;
    original_ = true;
    context_.service = 0;
    context_.policy_service_row = policy != nullptr ? policy->no_service_row : 0;
    return snapshot_->intercepted(arrival.arrives);
}

Decision Admission::judge(const Arrival& arrival, u32 flags) {
    headers& h = context_.h;
    h.source = arrival.client.address;
    h.destination = arrival.destination.address;
    h.source_port = arrival.client.port;
    h.destination_port = arrival.destination.port;
    h.family = arrival.client.is_v4() ? 4 : 6;
    h.protocol = arrival.protocol;
    h.flags = HEADER_PORTS | HEADER_UNICAST;
    h.tcp_flags = TCP_SYN;
    context_.flags = flags;
    context_.port = arrival.ingress;
    context_.service = 0;
    context_.rule = 0;
    context_.dry_run = 0;
    context_.meter = 0;
    context_.direction = 0;
    context_.length = 0;
    service_ = nullptr;
    pipeline_.ref.flow = nullptr;
    service_ = claim(arrival);
    if (service_ == nullptr) return Decision::unclaimed;
    return stage_policy(&pipeline_) == 0 ? Decision::allowed : Decision::denied;
}

Decision Admission::admit(const Arrival& arrival) {
    pipeline_.tables.rule_counters = rule_counters_.data();
    pipeline_.tables.now_ns = monotonic_ns();
    const Decision decision = judge(arrival, 0);
    if (decision != Decision::allowed) return decision;
    return stage_meter(&pipeline_) == 0 ? Decision::allowed : Decision::denied;
}

Decision Admission::recheck(const Arrival& arrival) {
    static thread_local std::vector<pair_counters> nowhere;
    nowhere.resize(rule_counters_.size());
    pipeline_.tables.rule_counters = nowhere.data();
    return judge(arrival, CONTEXT_REVALIDATE);
}

const image_backend* Admission::backend_at(const image_service& record, u32 position) const {
    if (position >= record.backend_count) return nullptr;
    return static_cast<const image_backend*>(
        image_record(&pipeline_.tables, record.backends, position, sizeof(image_backend)));
}

void Admission::set(const image_backend& backend, Backend& out) const {
    out.endpoint.address = backend.address;
    out.endpoint.port = backend.port != 0 ? backend.port : context_.h.destination_port;
    out.id = backend.id;
}

bool Admission::choose(const u16* tried, u32 count, Backend& out) {
    if (original_) {
        out = {{context_.h.destination, context_.h.destination_port}, snapshot_->original_id()};
        return count == 0;
    }
    switch (service_->scheduler) {
        case Scheduler::hash: return choose_by_hash(tried, count, out);
        case Scheduler::least_connections: return choose_least(tried, count, out);
        case Scheduler::round_robin: return choose_next(tried, count, out);
    }
    return false;
}

// The packet tiers' own choice; where that one was tried already, other places of the ring, then any that is
// up.
bool Admission::choose_by_hash(const u16* tried, u32 count, Backend& out) {
    for (u32 attempt = 0; attempt < hash_attempts; ++attempt) {
        if (backend_choose(&pipeline_, attempt) != 0) return false;
        const u16 id = static_cast<u16>(context_.backend - 1);
        if (among(id, tried, count)) continue;
        out = {{context_.backend_address, context_.backend_port}, id};
        return true;
    }
    return choose_next(tried, count, out);
}

bool Admission::choose_least(const u16* tried, u32 count, Backend& out) {
    const image_service* record = service_record(&pipeline_, context_.service);
    if (record == nullptr) return false;
    const image_backend* best = nullptr;
    u64 best_open = 0;
    u64 best_weight = 1;
    const u32 first = turns_[service_->id]++;  // equals take turns
    for (u32 i = 0; i < record->backend_count; ++i) {
        const u32 position = (first + i) % record->backend_count;
        const image_backend* backend = backend_at(*record, position);
        const u64 weight = position < service_->weights.size() ? service_->weights[position] : 1;
        if (backend == nullptr || weight == 0 || (backend->flags & BACKEND_UP) == 0) continue;
        if (among(backend->id, tried, count)) continue;
        const u64 open = open_[backend->id].load(std::memory_order_relaxed);
        if (best != nullptr && open * best_weight >= best_open * weight) continue;
        best = backend;
        best_open = open;
        best_weight = weight;
    }
    if (best == nullptr) return false;
    set(*best, out);
    return true;
}

bool Admission::choose_next(const u16* tried, u32 count, Backend& out) {
    const image_service* record = service_record(&pipeline_, context_.service);
    if (record == nullptr) return false;
    for (u32 i = 0; i < record->backend_count; ++i) {
        const u32 position = turns_[service_->id]++ % record->backend_count;
        const image_backend* backend = backend_at(*record, position);
        const u64 weight = position < service_->weights.size() ? service_->weights[position] : 1;
        if (backend == nullptr || weight == 0 || (backend->flags & BACKEND_UP) == 0) continue;
        if (among(backend->id, tried, count)) continue;
        set(*backend, out);
        return true;
    }
    return false;
}

bool Admission::has_backend(u16 id, const Endpoint& endpoint) const {
    if (original_) return endpoint == Endpoint{context_.h.destination, context_.h.destination_port};
    const image_service* record = service_record(const_cast<struct pipeline*>(&pipeline_), context_.service);
    if (record == nullptr) return false;
    for (u32 i = 0; i < record->backend_count; ++i) {
        const image_backend* backend = backend_at(*record, i);
        if (backend == nullptr || backend->id != id) continue;
        const bool same_port = backend->port == 0 || backend->port == endpoint.port;
        return same_port && address_equal(&backend->address, &endpoint.address) &&
               (backend->flags & (BACKEND_UP | BACKEND_DRAINING)) != 0;
    }
    return false;
}

}  // namespace sluice::proxy
