// SPDX-License-Identifier: Apache-2.0
//
// What DPDK's workers and those on packet sockets have in common.
#pragma once

#include <algorithm>
#include <vector>

#include "control/capture/captures.h"
#include "control/config/config.h"
#include "control/daemon/counter_sums.h"
#include "control/daemon/evaluation_tier.h"
#include "control/daemon/ways_out.h"
#include "dataplane/io/xdp/map_sizes.h"
#include "dataplane/worker/engine.h"

namespace sluice::control {

// What they are made from, whatever they receive by.
struct EngineWorkers {
    config::Workers settings;
    u32 fragments = 16384;
    MapSizes sizes;
    EvaluationTier* evaluation = nullptr;
    capture::Captures* captures = nullptr;
    std::vector<u32> taken;    // cores of other tiers' workers
    std::vector<WayOut> ways;  // by kernel devices

    EngineOptions engine(const char* tier) const {
        EngineOptions options;
        options.fragments = fragments;
        if (evaluation != nullptr) options.evaluation = evaluation->connect();
        if (captures != nullptr) options.capture = captures->tap(tier);
        return options;
    }
};

// Counts of workers that have stopped: what they counted stays counted.
struct PastCounts {
    std::vector<port_counters> ports = std::vector<port_counters>(NODE_PORTS);
    std::vector<backend_counters> backends;
    std::vector<pair_counters> rules;
    worker_counters workers{};
    bool any = false;

    void keep(const WorkerCounters& counters) {
        add_ports(ports, counters.ports());
        backends.resize(std::max(backends.size(), counters.backends().size()));
        rules.resize(std::max(rules.size(), counters.rules().size()));
        add_all(backends, counters.backends());
        add_all(rules, counters.rules());
        add_worker(workers, counters.worker());
        any = true;
    }
};

}  // namespace sluice::control
