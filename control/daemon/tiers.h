// SPDX-License-Identifier: Apache-2.0
//
// The tiers of this node as one thing: the XDP program on its interfaces, the workers behind it and on other
// devices, and the snapshot that all run on. Where a tier cannot be had the next one serves, and the reason
// is kept. Control thread only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/api/model.h"
#include "control/compile/compiler.h"
#include "control/daemon/dpdk_tier.h"
#include "control/daemon/environment.h"
#include "control/daemon/evaluation_tier.h"
#include "control/daemon/node_tables.h"
#include "control/daemon/packet_tier.h"
#include "control/daemon/plan.h"
#include "control/daemon/pool_history.h"
#include "control/daemon/worker_pool.h"
#include "dataplane/io/netlink/kernel_mirror.h"
#include "dataplane/io/xdp/xdp_dataplane.h"

namespace sluice::control {

class Tiers {
public:
    Tiers(netlink::KernelMirror& mirror, config::Flag numa)
        : mirror_(mirror),
          placement_(numa),
          dpdk_(mirror, placement_, [this] { let_program_serve(true); }),
          packets_(mirror, placement_) {}

    // Opens (or adopts) the program's maps, if a plan wants the program. Without them only DPDK ports are
    // served, out of this process's memory: an error only where `require:` says so. Programs that an earlier
    // daemon left where none is wanted are taken off.
    Status open(const config::Config& config, const Plans& plans);
    // Before bring_up(): who may want to see the engines' packets.
    void set_captures(capture::Captures& captures) { captures_ = &captures; }
    // After open(): its thread inherits what the caller's has.
    Status start_evaluation();
    bool is_open() const { return tables_ != nullptr; }
    // Of an open one.
    NodeTables& tables() { return *tables_; }
    node_state& node() { return tables_->node(); }
    // Null without the XDP program.
    XdpDataplane* xdp() { return xdp_.get(); }

    // Opens and closes DPDK devices as planned, before set_ports(): an open one decides what its port is
    // like.
    void set_devices(const config::Config& config, const Plans& plans);
    // Once a second; true: set_ports() and bring_up() are due.
    bool tend(const config::Config& config, const Plans& plans) { return dpdk_.tend(config, plans); }
    std::vector<netlink::Link> extra_links() const { return dpdk_.links(); }
    // Whether `plan` is served by what it was moved to, else why not.
    Status check_moved(const InterfacePlan& plan) const;
    // Before set_devices(): a device of DPDK's that was refused is tried anew.
    void try_again(const std::string& interface) { dpdk_.forget_refusal(interface); }
    // No tier is to have the interface's packets until this is said of another, or of none (""): its device
    // is about to change hands.
    void withhold(const std::string& interface) { withheld_ = interface; }
    // Whether the XDP program is to leave all of a device's claimed packets to an engine.
    bool engine_only(const InterfacePlan& plan) const;

    // Ports as they are now; those that are not among them any more are nobody's. Where packets are an
    // engine's alone (engine_only()) and there is none yet, the XDP program does what it can until
    // bring_up().
    Status set_ports(const std::vector<PortSetting>& ports);

    // Puts a snapshot in force in all tiers. One that fails leaves the old one in force.
    Status publish(const compile::Snapshot& snapshot);

    // Program on and off interfaces, workers for their queues: whatever differs from what is there. Fails,
    // having done what could be done, when `require:` is not met.
    Status bring_up(const config::Config& config, const Plans& plans, const std::vector<PortSetting>& ports);

    // Takes everything off this node, pins included.
    Status detach_all();

    // Of one device, in the order of its plan.
    std::vector<api::TierReport> tier_reports(const InterfacePlan& plan) const;
    const WorkerPool* pool() const { return pool_.get(); }
    // Of pool() and those before it.
    const PoolHistory& pool_history() const { return history_; }
    const DpdkTier& dpdk() const { return dpdk_; }
    const PacketTier& packets() const { return packets_; }
    EvaluationTier& evaluation() { return evaluation_; }
    const EvaluationTier& evaluation() const { return evaluation_; }
    const std::string& no_workers() const { return no_workers_; }
    // Why a device that should be served is not; empty: it is, or should not.
    std::string unserved(const InterfacePlan& plan) const;

    MapSizes sizes() const { return sizes_; }

private:
    struct Device {
        std::string name;
        u32 ifindex = 0;  // 0: not there
        std::optional<XdpAttachment> attachment;
        std::string program_refusal;
        std::string engine_refusal;
        bool engine = false;  // its queues have sockets
    };

    Status open_tables();
    bool packets_wanted(const config::Config& config, const InterfacePlan& plan) const;
    void update_packets(const config::Config& config, const Plans& plans,
                        const std::vector<PortSetting>& ports, bool program_is_due);
    EngineWorkers engine_workers(const config::Config& config, const std::vector<PortSetting>& ports);
    void take_off_unserved(const Plans& plans);
    // Whether the program is to be on the device: not where DPDK drives it without one.
    bool program_wanted(const InterfacePlan& plan) const;
    void start_dpdk(const config::Config& config, const std::vector<PortSetting>& ports);
    void connect_sockets(const std::vector<PortSetting>& ports);
    void attach(const InterfacePlan& plan, Device& device);
    bool engine_runs(const std::string& device) const;
    void let_program_serve(bool dpdk);
    void hand_over_to_engines(const std::vector<PortSetting>& ports);
    std::vector<WayOut> ways_out(const std::vector<PortSetting>& ports) const;
    void detach(Device& device);
    void update_devices(const Plans& plans, const std::vector<PortSetting>& ports);
    std::vector<XskQueue> wanted_queues(const config::Config& config, const Plans& plans,
                                        const std::vector<PortSetting>& ports);
    void update_workers(const config::Config& config, const Plans& plans,
                        const std::vector<PortSetting>& ports);
    void start_workers(PoolOptions options, const Plans& plans);
    void stop_workers();
    bool any_refused() const;  // the sockets of a device
    std::vector<XskQueue> usable(const PoolOptions& options);
    Result<std::unique_ptr<WorkerPool>> make_pool(PoolOptions options);
    void placed(const Plans& plans);
    Status check_requirements(const Plans& plans) const;
    api::TierReport report_xdp(const Device* device, const InterfacePlan& plan) const;
    api::TierReport report_af_xdp(const Device* device) const;
    api::TierReport report_packets(const InterfacePlan& plan, const Device* device) const;
    std::string no_packets(const InterfacePlan& plan) const;
    const Device* find(const std::string& name) const;

    netlink::KernelMirror& mirror_;
    NodePlacement placement_;
    MapSizes sizes_;
    std::unique_ptr<XdpDataplane> xdp_;
    std::unique_ptr<NodeTables> tables_;
    capture::Captures* captures_ = nullptr;
    EvaluationTier evaluation_;  // looks flows up in the tables
    DpdkTier dpdk_;              // its workers use the tables
    PacketTier packets_;         // so do its own
    std::string no_dpdk_;
    bool claims_ = false;  // something of what arrives may be the engine's
    std::string open_refusal_;
    std::map<std::string, Device> devices_;
    std::unique_ptr<WorkerPool> pool_;
    PoolHistory history_;
    std::vector<std::unique_ptr<IrqAffinity>> interrupts_;  // of devices that the engine alone serves
    std::vector<XskQueue> queues_;                          // asked for, whether they could be had or not
    std::map<std::string, u32> mtu_;                        // by device, when they were
    std::vector<WayOut> ways_;
    std::vector<PortSetting> ports_;  // as last set
    std::string no_workers_ = "not started";
    std::string withheld_;  // see withhold()
};

}  // namespace sluice::control
