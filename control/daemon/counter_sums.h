// SPDX-License-Identifier: Apache-2.0
//
// Adding up what the workers of a pool count.
#pragma once

#include <algorithm>
#include <iterator>
#include <span>
#include <vector>

#include "control/daemon/counter_book.h"
#include "dataplane/worker/table_memory.h"

namespace sluice::control {

inline void add_ports(std::vector<port_counters>& sum, std::span<const port_counters> from) {
    const auto add = [](auto& to, const auto& each) {
        for (size_t i = 0; i < std::size(to); ++i) to[i] += each[i];
    };
    for (size_t i = 0; i < std::min(sum.size(), from.size()); ++i) {
        sum[i].received_packets += from[i].received_packets;
        sum[i].received_bytes += from[i].received_bytes;
        add(sum[i].packets, from[i].packets);
        add(sum[i].bytes, from[i].bytes);
        add(sum[i].drops, from[i].drops);
        add(sum[i].punts, from[i].punts);
    }
}

inline void add_worker(worker_counters& sum, const worker_counters& each) {
    sum.flows_created += each.flows_created;
    sum.flows_evicted += each.flows_evicted;
    sum.flows_reclaimed += each.flows_reclaimed;
    sum.flows_busy += each.flows_busy;
    sum.neighbors_missing += each.neighbors_missing;
    sum.evaluations_unasked += each.evaluations_unasked;
    sum.trace_events += each.trace_events;
    sum.trace_lost += each.trace_lost;
}

// As far as both reach.
template <typename T>
void add_all(std::vector<T>& sum, std::span<const T> from) {
    for (size_t i = 0; i < std::min(sum.size(), from.size()); ++i) sum[i] = sum[i] + from[i];
}

}  // namespace sluice::control
