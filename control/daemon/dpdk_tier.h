// SPDX-License-Identifier: Apache-2.0
//
// The DPDK tier: devices that the configuration names, their host paths, and the workers that poll them.
// Control thread only. Built without libdpdk it refuses every device with that reason (dpdk_absent.cc).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/api/model.h"
#include "control/config/config.h"
#include "control/daemon/engine_workers.h"
#include "control/daemon/node_tables.h"
#include "control/daemon/placement.h"
#include "control/daemon/plan.h"
#include "dataplane/io/netlink/kernel_mirror.h"

namespace sluice::control {

using Plans = std::map<std::string, InterfacePlan>;  // by device

struct DpdkWorkers : EngineWorkers {    // ways by devices that DPDK drives are left out
    std::map<std::string, u8> numbers;  // of ports, by interface
};

class DpdkTier {
public:
    // Both outlive it. `before_pause` is called while the workers run and are about to be stopped: from then
    // on they should be given no more packets; those that they have are still worked off.
    DpdkTier(netlink::KernelMirror& mirror, const NodePlacement& placement,
             std::function<void()> before_pause);
    ~DpdkTier();
    DpdkTier(const DpdkTier&) = delete;
    DpdkTier& operator=(const DpdkTier&) = delete;

    // Opens what `plans` want of DPDK and closes what they do not; what stays as it is keeps running, unless
    // something changes: then all workers stop until start_workers(). A device that cannot be had is tried
    // again when its section changes.
    void set_devices(const config::Config& config, const Plans& plans);

    bool serves(const std::string& interface) const;
    // Whether set_devices() would open the device of this section.
    bool would_open(const config::Interface& interface) const;
    // A device that was refused is tried anew by the next set_devices().
    void forget_refusal(const std::string& interface);
    // Why not; empty: it does, or was not asked to.
    std::string refusal(const std::string& interface) const;

    // Whether the device receives what the XDP program hands over (net_af_xdp), and its sockets by queue.
    bool behind_program(const std::string& interface) const;
    std::vector<int> sockets(const std::string& interface) const;

    // Ports that are no kernel devices: as the kernel would describe them.
    std::vector<netlink::Link> links() const;

    // Once a second: connects what has lost its peer. True when a device that was refused is there now: ports
    // and workers have to be set up anew. `config`: as given to set_devices().
    bool tend(const config::Config& config, const Plans& plans);

    // Unless they run, by the same ways out. `tables` outlives them.
    Status start_workers(NodeTables& tables, const DpdkWorkers& options);
    void stop_workers();
    // On return no engine uses the image before.
    void set_image(const Image& image);

    // Sums over all workers.
    std::vector<port_counters> ports() const;
    void add_to(std::vector<backend_counters>& counters) const;
    void add_to(std::vector<pair_counters>& counters) const;
    std::vector<worker_counters> counters() const;  // by worker

    // `first`: the number of the first of these workers.
    std::vector<api::WorkerReport> worker_reports(u32 first) const;
    std::optional<api::DpdkReport> device_report(const std::string& interface) const;
    api::TierReport tier_report(const std::string& interface) const;

    // For reports: whether any worker runs, and who runs where; null: none does.
    bool running() const;
    bool has_run() const;  // so that there are counts
    const Placement* placement() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::control
