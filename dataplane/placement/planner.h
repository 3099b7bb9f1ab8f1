// SPDX-License-Identifier: Apache-2.0
//
// Who runs where: workers on cores, queues with workers, memory on nodes. A pure function of what the machine
// and the configuration are, whose result says why in words an operator reads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dataplane/placement/topology.h"

namespace sluice {

// auto: where the machine has several nodes.
enum class NumaWish : u8 { automatic, on, off };

struct PlacedPort {
    std::string name;
    std::optional<u32> node;  // empty: a virtual device, as near to all
    u32 queues = 1;
};

struct PlacementRequest {
    std::vector<PlacedPort> ports;
    std::optional<std::vector<u32>> cores;  // to use, and no others; empty: chosen here
    std::vector<u32> taken;                 // by workers of another tier: used where there are no others
    NumaWish numa = NumaWish::automatic;
    std::string numa_decision;  // who decided that, "false (environment)"
    // A worker sends by queues of its own, so that it needs one on every port (XDP sockets). Else queues are
    // for receiving only, and lie with the nearest worker.
    bool every_worker_on_every_port = false;
};

struct QueueOfPort {
    u32 port = 0;  // index into the request's ports
    u32 queue = 0;
    bool operator==(const QueueOfPort&) const = default;
};

struct WorkerPlacement {
    std::optional<u32> core;         // to be pinned to; empty: wherever the scheduler likes
    u32 node = 0;                    // of the core
    std::optional<u32> memory_node;  // for its buffers and tables; empty: not bound
    std::vector<QueueOfPort> queues;
    std::string reason;
};

struct PlacementPlan {
    bool numa = false;        // memory is bound, and nearness decides
    std::string numa_reason;  // why, or why not
    std::vector<WorkerPlacement> workers;
    // For what all workers share (the flow table): one node is a preference, several are interleaved, none
    // is not bound.
    std::vector<u32> table_nodes;
    std::vector<std::string> notes;  // what the operator should know: cores left out, ports served from afar

    // The worker of a queue.
    u32 worker_of(u32 port, u32 queue) const;
    // The whole plan, a line per fact. `ports` of the request; `title` stands before a worker's number.
    std::vector<std::string> lines(const std::vector<PlacedPort>& ports,
                                   const std::string& title = "worker") const;
};

// One worker at least, also where nothing suits: it is unpinned then, and the notes say so. Every queue has a
// worker.
PlacementPlan plan_placement(const Topology& topology, const PlacementRequest& request);

}  // namespace sluice
