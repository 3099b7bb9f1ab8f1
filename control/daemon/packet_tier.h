// SPDX-License-Identifier: Apache-2.0
//
// The epoll tier's packet ports: interfaces that no faster tier serves, whose packets the engine takes out of
// packet sockets' rings, and the workers that do so. The kernel's stack sees only what the engine passes.
// Control thread only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/api/model.h"
#include "control/daemon/engine_workers.h"
#include "control/daemon/node_tables.h"
#include "control/daemon/placement.h"
#include "dataplane/io/host_path/host_path.h"
#include "dataplane/io/interception/ingress_guard.h"
#include "dataplane/io/netlink/kernel_mirror.h"
#include "dataplane/io/packet_socket/packet_ring.h"

namespace sluice::control {

struct PacketDevice {
    std::string interface;
    u32 ifindex = 0;
    u8 number = 0;  // of its port
    u32 mtu = 1500;
    u32 rings = 1;
    bool operator==(const PacketDevice&) const = default;
};

class PacketTier {
public:
    // Both outlive it.
    PacketTier(netlink::KernelMirror& mirror, const NodePlacement& placement);
    ~PacketTier();
    PacketTier(const PacketTier&) = delete;
    PacketTier& operator=(const PacketTier&) = delete;

    // Takes away what a killed process has left. Before the first set().
    static Status clean();

    // From now on exactly these devices' packets, as far as that can be had: refusal() says why not. Those
    // that are served already lose nothing. `tables` outlives the tier.
    void set(NodeTables& tables, const std::vector<PacketDevice>& devices, EngineWorkers options);
    void stop();
    // A device that was refused is tried again by the next set() only after this: an attempt makes devices
    // come and go, at which set() is called.
    void forget_refusals() { refused_.clear(); }

    bool serves(const std::string& interface) const;
    std::string refusal(const std::string& interface) const;
    bool running() const { return !members_.empty(); }
    bool has_run() const { return running() || past_.any; }

    // On return no engine uses the image before.
    void set_image(const Image& image);

    // Sums over all workers, those before included.
    std::vector<port_counters> ports() const;
    void add_to(std::vector<backend_counters>& counters) const;
    void add_to(std::vector<pair_counters>& counters) const;
    std::vector<worker_counters> counters() const;

    // `first`: the number of the first of these workers.
    std::vector<api::WorkerReport> worker_reports(u32 first) const;
    std::optional<api::PacketReport> device_report(const std::string& interface) const;
    api::TierReport tier_report(const std::string& interface) const;
    const Placement* placement() const { return running() ? &placement_ : nullptr; }

private:
    struct Member;
    struct Open {
        PacketDevice device;
        std::vector<std::unique_ptr<PacketRing>> rings;
        std::unique_ptr<HostPath> host;
        std::string host_refusal;
    };

    Result<Open> open(const PacketDevice& device);
    void close(const std::vector<PacketDevice>& keep);
    void open_new(const std::vector<PacketDevice>& devices);
    Status begin(const PacketDevice& device);
    bool is_refused(const PacketDevice& device) const;
    Status guard();
    void place();
    Status add_member(u32 index, NodeTables& tables);
    Status start_workers(NodeTables& tables);
    void stop_workers();
    void keep_rings(Open& device);

    netlink::KernelMirror& mirror_;
    const NodePlacement& node_placement_;
    IngressGuard guard_;
    EngineWorkers options_;
    Placement placement_;
    std::map<std::string, Open> open_;
    struct Refusal {
        PacketDevice device;
        std::string why;
    };
    std::map<std::string, Refusal> refused_;
    std::vector<std::unique_ptr<Member>> members_;
    PastCounts past_;
    std::map<std::string, PacketRingStatistics> past_rings_;
};

}  // namespace sluice::control
