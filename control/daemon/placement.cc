// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/placement.h"

#include <algorithm>
#include <limits>

#include "dataplane/base/log.h"
#include "dataplane/io/netlink/device_queues.h"

namespace sluice::control {

namespace {

NumaWish wish_of(config::Switch value) {
    switch (value) {
        case config::Switch::automatic: return NumaWish::automatic;
        case config::Switch::on: return NumaWish::on;
        case config::Switch::off: return NumaWish::off;
    }
    return NumaWish::automatic;
}

}  // namespace

u32 Placement::worker_of(const std::string& device, u32 queue) const {
    for (u32 port = 0; port < ports.size(); ++port) {
        if (ports[port].name == device) return plan.worker_of(port, queue);
    }
    return std::numeric_limits<u32>::max();
}

std::vector<u32> Placement::cores() const {
    std::vector<u32> all;
    for (const WorkerPlacement& worker : plan.workers) {
        if (worker.core) all.push_back(*worker.core);
    }
    return all;
}

std::optional<u32> NodePlacement::node_of(const std::string& device) const {
    return pci_node(netlink::bus_address(device), files_);
}

std::optional<u32> NodePlacement::distance(u32 from, u32 to) const {
    const Result<Topology> topology = read_topology(files_);
    if (!topology) return std::nullopt;
    return topology->distance(from, to);
}

Placement NodePlacement::make(const config::Workers& workers, PlacementRequest request) const {
    const config::Decision numa = config::decide(flag_, workers.numa);
    request.cores = workers.cores;
    request.numa = wish_of(numa.value);
    request.numa_decision = numa.text();
    Placement placement;
    placement.ports = request.ports;
    Result<Topology> topology = read_topology(files_);
    if (topology) {
        placement.plan = plan_placement(*topology, request);
        return placement;
    }
    Topology nothing;
    nothing.nodes.push_back({0, true, {10}});
    placement.plan = plan_placement(nothing, request);
    placement.plan.notes.insert(placement.plan.notes.begin(), topology.error().message);
    return placement;
}

Placement NodePlacement::for_sockets(const config::Workers& workers, const std::vector<XskQueue>& queues,
                                     const std::vector<u32>& taken) const {
    PlacementRequest request;
    request.taken = taken;
    request.every_worker_on_every_port = true;
    for (const XskQueue& queue : queues) {
        auto at = std::find_if(request.ports.begin(), request.ports.end(),
                               [&](const PlacedPort& port) { return port.name == queue.interface; });
        if (at == request.ports.end())
            at = request.ports.insert(at, {queue.interface, node_of(queue.interface), 0});
        at->queues = std::max(at->queues, queue.queue + 1);
    }
    return make(workers, std::move(request));
}

Placement NodePlacement::for_receivers(const config::Workers& workers, std::vector<PlacedPort> ports,
                                       const std::vector<u32>& taken) const {
    PlacementRequest request;
    request.taken = taken;
    request.ports = std::move(ports);
    return make(workers, std::move(request));
}

std::vector<u32> NodePlacement::table_nodes(const config::Config& config) const {
    std::vector<XskQueue> queues;
    for (const config::Interface& interface : config.interfaces) {
        if (interface.is_sub_interface() || interface.dpdk) continue;
        const u32 count = interface.queues.value_or(netlink::receive_queues(interface.name));
        for (u32 queue = 0; queue < count; ++queue) queues.push_back({interface.name, 0, 0, queue});
    }
    return queues.empty() ? std::vector<u32>{} : for_sockets(config.workers, queues).plan.table_nodes;
}

std::vector<std::unique_ptr<IrqAffinity>> NodePlacement::steer_interrupts(
    const Placement& placement, const std::vector<std::string>& devices) const {
    std::vector<std::unique_ptr<IrqAffinity>> all;
    if (flag_.value == config::Switch::off) return all;
    for (u32 port = 0; port < placement.ports.size(); ++port) {
        const std::string& device = placement.ports[port].name;
        const std::string address = netlink::bus_address(device);
        if (address.empty() || std::find(devices.begin(), devices.end(), device) == devices.end()) continue;
        std::vector<IrqAffinity::QueueCore> cores;
        for (const WorkerPlacement& worker : placement.plan.workers) {
            for (const QueueOfPort& each : worker.queues) {
                if (each.port == port && worker.core) cores.push_back({each.queue, *worker.core});
            }
        }
        if (cores.empty()) continue;
        auto irqs = std::make_unique<IrqAffinity>(address, cores, files_);
        for (const std::string& problem : irqs->problems())
            spdlog::info("interface {}: interrupts stay where they are: {}", device, problem);
        if (irqs->moved() > 0)
            spdlog::info("interface {}: {} interrupts follow their queues' workers", device, irqs->moved());
        all.push_back(std::move(irqs));
    }
    return all;
}

}  // namespace sluice::control
