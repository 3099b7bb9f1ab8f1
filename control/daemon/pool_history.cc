// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/pool_history.h"

#include "control/daemon/counter_sums.h"

namespace sluice::control {

namespace {

// The counts of a worker; what it is and has now stays.
void add(api::WorkerReport& sum, const api::WorkerReport& each) {
    sum.busy_ns += each.busy_ns;
    sum.idle_ns += each.idle_ns;
    sum.sleeps += each.sleeps;
    sum.batches += each.batches;
    sum.frames += each.frames;
    sum.transmit_refused += each.transmit_refused;
    sum.host_path_refused += each.host_path_refused;
    sum.sent_elsewhere += each.sent_elsewhere;
}

void add(XskStatistics& sum, const XskStatistics& each) {
    sum.received += each.received;
    sum.sent += each.sent;
    sum.transmit_full += each.transmit_full;
    sum.rx_dropped += each.rx_dropped;
    sum.rx_ring_full += each.rx_ring_full;
    sum.rx_fill_ring_empty += each.rx_fill_ring_empty;
    sum.rx_invalid += each.rx_invalid;
    sum.tx_invalid += each.tx_invalid;
    sum.tx_ring_empty += each.tx_ring_empty;
}

}  // namespace

void PoolHistory::keep(const WorkerPool& pool) {
    ports_ = ports(&pool);
    backends_.resize(pool.sizes().backends);
    pool.add_to(backends_);
    rules_.resize(pool.sizes().rules);
    pool.add_to(rules_);
    flows_ = counters(&pool);
    for (const api::WorkerReport& worker : pool.worker_reports()) add(workers_[worker.id], worker);
    for (const std::string& interface : pool.interfaces()) {
        for (const api::QueueReport& queue : pool.queue_reports(interface))
            add(queues_[{interface, queue.queue}], queue.statistics);
    }
}

std::vector<port_counters> PoolHistory::ports(const WorkerPool* pool) const {
    std::vector<port_counters> sum(NODE_PORTS);
    add_ports(sum, ports_);
    if (pool != nullptr) add_ports(sum, pool->ports());
    return sum;
}

void PoolHistory::add_to(const WorkerPool* pool, std::vector<backend_counters>& counters) const {
    add_all(counters, std::span(backends_));
    if (pool != nullptr) pool->add_to(counters);
}

void PoolHistory::add_to(const WorkerPool* pool, std::vector<pair_counters>& counters) const {
    add_all(counters, std::span(rules_));
    if (pool != nullptr) pool->add_to(counters);
}

worker_counters PoolHistory::counters(const WorkerPool* pool) const {
    worker_counters sum = flows_;
    if (pool == nullptr) return sum;
    for (const worker_counters& each : pool->counters()) add_worker(sum, each);
    return sum;
}

std::vector<api::WorkerReport> PoolHistory::worker_reports(const WorkerPool* pool) const {
    std::vector<api::WorkerReport> reports;
    if (pool != nullptr) reports = pool->worker_reports();
    for (api::WorkerReport& report : reports) {
        const auto past = workers_.find(report.id);
        if (past != workers_.end()) add(report, past->second);
    }
    return reports;
}

std::vector<api::QueueReport> PoolHistory::queue_reports(const WorkerPool* pool,
                                                         const std::string& interface) const {
    std::vector<api::QueueReport> reports;
    if (pool != nullptr) reports = pool->queue_reports(interface);
    for (api::QueueReport& report : reports) {
        const auto past = queues_.find({interface, report.queue});
        if (past != queues_.end()) add(report.statistics, past->second);
    }
    return reports;
}

}  // namespace sluice::control
