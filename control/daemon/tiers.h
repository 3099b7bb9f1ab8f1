// SPDX-License-Identifier: Apache-2.0
//
// The tiers of this node as one thing: the XDP program on its interfaces, the workers behind it, and the
// snapshot that both run on. Where a tier cannot be had the next one serves, and the reason is kept. Control
// thread only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/api/model.h"
#include "control/compile/compiler.h"
#include "control/daemon/environment.h"
#include "control/daemon/plan.h"
#include "control/daemon/worker_pool.h"
#include "dataplane/io/netlink/kernel_mirror.h"
#include "dataplane/io/xdp/xdp_dataplane.h"

namespace sluice::control {

using Plans = std::map<std::string, InterfacePlan>;  // by device

class Tiers {
public:
    explicit Tiers(netlink::KernelMirror& mirror) : mirror_(mirror) {}

    // Opens (or adopts) the program's maps, if a plan wants the program. Without them nothing is served: an
    // error only where `require:` says so. Programs that an earlier daemon left where none is wanted are
    // taken off.
    Status open(const config::Config& config, const Plans& plans);
    bool is_open() const { return xdp_ != nullptr; }
    XdpDataplane& xdp() { return *xdp_; }
    const XdpDataplane* xdp() const { return xdp_.get(); }

    // Ports as they are now; those that are not among them any more are nobody's.
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

    void attach(const InterfacePlan& plan, const PortSetting& port, Device& device);
    void detach(Device& device);
    void update_devices(const Plans& plans, const std::vector<PortSetting>& ports);
    std::vector<XskQueue> wanted_queues(const config::Config& config, const Plans& plans,
                                        const std::vector<PortSetting>& ports);
    void update_workers(const config::Config& config, const Plans& plans,
                        const std::vector<PortSetting>& ports);
    void start_workers(PoolOptions options);
    void stop_workers();
    std::vector<XskQueue> usable(const PoolOptions& options);
    Status check_requirements(const Plans& plans) const;
    api::TierReport report_xdp(const Device* device, const InterfacePlan& plan) const;
    api::TierReport report_af_xdp(const Device* device) const;
    const Device* find(const std::string& name) const;

    netlink::KernelMirror& mirror_;
    MapSizes sizes_;
    std::unique_ptr<XdpDataplane> xdp_;
    std::string open_refusal_;
    std::map<std::string, Device> devices_;
    std::vector<u8> ports_in_use_;
    std::shared_ptr<const Image> image_;
    std::unique_ptr<WorkerPool> pool_;
    std::vector<XskQueue> queues_;      // asked for, whether they could be had or not
    std::map<std::string, u32> mtu_;    // by device, when they were
    std::string no_workers_ = "not started";
};

}  // namespace sluice::control
