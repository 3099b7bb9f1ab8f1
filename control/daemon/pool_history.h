// SPDX-License-Identifier: Apache-2.0
//
// What the AF_XDP workers of this process have counted. Pools come and go with the interfaces; their counts
// stay, so that no counter falls.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "control/daemon/worker_pool.h"

namespace sluice::control {

class PoolHistory {
public:
    // Of a pool that is stopped, once and before it goes.
    void keep(const WorkerPool& pool);

    // No pool has ever counted anything.
    bool empty() const { return ports_.empty(); }

    // Below: the counts of `pool` (null: none runs) and of all before it.
    std::vector<port_counters> ports(const WorkerPool* pool) const;
    void add_to(const WorkerPool* pool, std::vector<backend_counters>& counters) const;
    void add_to(const WorkerPool* pool, std::vector<pair_counters>& counters) const;
    worker_counters counters(const WorkerPool* pool) const;

    // Of the workers and queues that there are now: a worker goes on from the last one of its number, a queue
    // from the sockets that it had.
    std::vector<api::WorkerReport> worker_reports(const WorkerPool* pool) const;
    std::vector<api::QueueReport> queue_reports(const WorkerPool* pool, const std::string& interface) const;

private:
    std::vector<port_counters> ports_;
    std::vector<backend_counters> backends_;
    std::vector<pair_counters> rules_;
    worker_counters flows_{};
    std::map<u32, api::WorkerReport> workers_;
    std::map<std::pair<std::string, u32>, XskStatistics> queues_;  // by interface and queue
};

}  // namespace sluice::control
