// SPDX-License-Identifier: Apache-2.0
//
// Placement for this node's configuration: which ports and queues there are, what file and flag say about
// NUMA, and the plan that comes of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/config/flags.h"
#include "dataplane/io/af_xdp/xsk_options.h"
#include "dataplane/placement/irq_affinity.h"
#include "dataplane/placement/planner.h"

namespace sluice::control {

// A plan, and the ports that its indices mean.
struct Placement {
    std::vector<PlacedPort> ports;
    PlacementPlan plan;

    std::string title = "worker";  // what its workers are called

    std::vector<std::string> lines() const { return plan.lines(ports, title); }
    std::vector<u32> cores() const;  // that workers are pinned to
    // Worker of a queue of a device, by name.
    u32 worker_of(const std::string& device, u32 queue) const;
};

class NodePlacement {
public:
    explicit NodePlacement(config::Flag numa, KernelFiles files = {})
        : flag_(numa), files_(std::move(files)) {}

    // For workers that receive and send by XDP sockets on these queues. A machine that cannot be read gives
    // one worker on no core, and the reason. `taken`: cores of another tier's workers.
    Placement for_sockets(const config::Workers& workers, const std::vector<XskQueue>& queues,
                          const std::vector<u32>& taken = {}) const;

    // For workers that receive on these ports and can send on all of them by queues of their own (DPDK).
    Placement for_receivers(const config::Workers& workers, std::vector<PlacedPort> ports,
                            const std::vector<u32>& taken = {}) const;

    // Nodes on which what all tiers share is to lie, for the ports of a configuration; none: anywhere.
    std::vector<u32> table_nodes(const config::Config& config) const;

    // Brings the interrupts of the devices' queues to their workers' cores, as long as the answer lives.
    // Devices without such interrupts are left alone. None where NUMA placement is switched off.
    std::vector<std::unique_ptr<IrqAffinity>> steer_interrupts(const Placement& placement,
                                                               const std::vector<std::string>& devices) const;

    // Node of a network device; empty: it has none.
    std::optional<u32> node_of(const std::string& device) const;
    // Node of a PCI device by its address; empty: no such device, or on none.
    std::optional<u32> node_of_pci(const std::string& address) const { return pci_node(address, files_); }
    // Of memory on node `to` for who runs on `from`; 10 is local. Empty: the machine cannot be read.
    std::optional<u32> distance(u32 from, u32 to) const;

private:
    Placement make(const config::Workers& workers, PlacementRequest request) const;

    config::Flag flag_;
    KernelFiles files_;
};

}  // namespace sluice::control
