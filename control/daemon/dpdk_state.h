// SPDX-License-Identifier: Apache-2.0
//
// What the DPDK tier consists of; for its own files only.
#pragma once

#include "control/daemon/dpdk_tier.h"
#include "control/daemon/kernel_router.h"
#include "dataplane/io/dpdk/host_bridge.h"
#include "dataplane/io/dpdk/stand_in.h"
#include "dataplane/worker/dpdk_worker.h"

namespace sluice::control {

// What a port is made from: another one is needed when this changes.
struct DpdkWish {
    config::DpdkPort port;
    std::optional<u32> queues, mtu;
    bool promiscuous = false;
    std::optional<std::vector<config::InterfaceAddress>> addresses;
    bool operator==(const DpdkWish&) const = default;
};

struct DpdkMember {
    DpdkMember(WorkerCounters made, const node_state& node, netlink::KernelMirror& mirror)
        : counters(std::move(made)), router(node, mirror) {}

    WorkerCounters counters;
    KernelRouter router;
    std::vector<std::unique_ptr<DpdkPort>> ports;
    std::vector<std::unique_ptr<PacketEgress>> ways;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<Worker<DpdkPort>> worker;  // last: its thread uses the others
    WorkerPlacement place;
};

// Where a device's buffers came to lie, in hundredths by node; empty: the kernel does not tell.
std::vector<u32> percent_by_node(const DpdkDevice& device);

struct OpenDpdkDevice {
    bool is_due(const std::string& interface);

    DpdkWish wish;
    std::unique_ptr<StandIn> stand_in;   // net_af_xdp
    std::unique_ptr<DpdkDevice> device;  // null: refused
    std::unique_ptr<HostPath> host;      // null: not wished for, or refused
    std::string host_refusal;
    std::string refusal;
    std::string elsewhere;       // why its buffers do not lie where they were wished, and where they do
    u32 waited = 0;              // seconds since the last attempt to start it again
    u32 patience = 1;            // how many to wait before the next
    std::optional<u32> node;     // that it is on
    bool kernel_device = false;  // the interface is the kernel's as well
};

struct DpdkTier::State {
    State(netlink::KernelMirror& kernel, const NodePlacement& node, std::function<void()> pause)
        : mirror(kernel), node_placement(node), before_pause(std::move(pause)) {}

    // `expected`: who would run where, as far as that is known before the devices are there.
    OpenDpdkDevice open(const config::Interface& interface, const Placement& expected, u32 made_up);
    DpdkDeviceOptions options_of(const config::Interface& interface, const Placement& expected) const;
    Placement expected_placement(const config::Config& config, const Plans& plans) const;
    std::optional<u32> node_of(const config::Interface& interface) const;
    Status open_device(OpenDpdkDevice& device, DpdkDeviceOptions options);
    std::string elsewhere(const DpdkDevice& device) const;
    void open_host_path(OpenDpdkDevice& device, const config::Interface& interface);
    Status start_eal(const config::Config& config, const Plans& plans, const Placement& expected);
    void place_workers(const DpdkWorkers& options);
    Status add_member(u32 index, NodeTables& tables, const DpdkWorkers& options);
    void add_ports(DpdkMember& member, u32 index, const DpdkWorkers& options);
    u32 rank_of(const std::string& device, u32 worker) const;
    void stop();
    std::vector<WayOut> ways_of(const DpdkWorkers& options) const;
    u32 made_up() const;  // an ifindex for a port that is no kernel device
    bool wait_for_workers() const;
    void work_off() const;
    bool only_behind_program() const;
    void recover();

    netlink::KernelMirror& mirror;
    const NodePlacement& node_placement;
    std::function<void()> before_pause;
    Placement placement;  // of `members`
    std::vector<WayOut> ways;
    std::map<std::string, OpenDpdkDevice> devices;  // by interface
    std::vector<std::unique_ptr<DpdkMember>> members;
    HostBridge bridge;
    u32 seconds = 0;
    PastCounts past;
};

}  // namespace sluice::control
