// SPDX-License-Identifier: Apache-2.0
//
// A worker on packet sockets with all that is its own; for the packet tier's files only.
#pragma once

#include "control/daemon/kernel_router.h"
#include "control/daemon/packet_tier.h"
#include "dataplane/worker/kernel_workers.h"

namespace sluice::control {

struct PacketTier::Member {
    Member(WorkerCounters made, const node_state& node, netlink::KernelMirror& mirror)
        : counters(std::move(made)), router(node, mirror) {}

    WorkerCounters counters;
    KernelRouter router;
    std::unique_ptr<Umem> buffers;
    std::vector<std::unique_ptr<PacketPort>> ports;
    std::vector<std::unique_ptr<PacketEgress>> ways;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<Worker<PacketPort>> worker;  // last: its thread uses the others
    WorkerPlacement place;
};

}  // namespace sluice::control
