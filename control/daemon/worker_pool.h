// SPDX-License-Identifier: Apache-2.0
//
// The AF_XDP workers: queues spread over threads, each with its sockets, its engine and its counters.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "control/api/model.h"
#include "control/capture/captures.h"
#include "control/config/config.h"
#include "control/daemon/counter_book.h"
#include "control/daemon/evaluation_tier.h"
#include "control/daemon/placement.h"
#include "control/daemon/ways_out.h"
#include "dataplane/io/af_xdp/umem.h"
#include "dataplane/io/host_path/host_path.h"
#include "dataplane/io/netlink/kernel_mirror.h"
#include "dataplane/io/xdp/xdp_dataplane.h"

namespace sluice::control {

struct PoolOptions {
    std::vector<XskQueue> queues;
    config::Workers workers;
    // Of `queues`: queue q of a device belongs to the worker that the plan gives it. Each worker has a queue
    // on every device, so that a packet can leave by the worker that has it.
    Placement placement;
    u32 fragments = 16384;
    MapSizes sizes;
    std::map<std::string, u32> mtu;  // by device
    std::vector<WayOut> ways;        // by devices that `queues` has none of
    EvaluationTier* evaluation = nullptr;
    capture::Captures* captures = nullptr;
};

class WorkerPool {
public:
    // Opens everything; nothing runs and no packet is handed over before run().
    static Result<std::unique_ptr<WorkerPool>> start(const PoolOptions& options, XdpDataplane& xdp,
                                                     netlink::KernelMirror& mirror);
    ~WorkerPool();  // stops
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    // Starts the threads and gives them the packets.
    Status run();

    // Packets are dropped as no_engine from here on; those handed over before are still worked off, for a
    // twentieth of a second at most. What was counted can be read. Idempotent.
    void stop();

    const Placement& placement() const { return options_.placement; }
    const MapSizes& sizes() const { return options_.sizes; }
    std::set<std::string> interfaces() const;  // that it has sockets on

    // On return no engine uses the image before.
    void set_image(const Image& image);

    bool zero_copy(u32 ifindex) const;
    std::string zero_copy_refusal(u32 ifindex) const;

    // Sums over all workers, here and below.
    std::vector<port_counters> ports() const;
    void add_to(std::vector<backend_counters>& counters) const;
    void add_to(std::vector<pair_counters>& counters) const;
    std::vector<worker_counters> counters() const;  // by worker

    std::vector<api::WorkerReport> worker_reports() const;
    std::vector<api::QueueReport> queue_reports(const std::string& interface) const;

private:
    struct Member;

    WorkerPool(XdpDataplane& xdp, PoolOptions options);
    Status open_host_paths();
    Status add_member(u32 index, netlink::KernelMirror& mirror);
    UmemOptions umem_options(size_t queues) const;
    std::vector<std::string> missing_huge_pages() const;
    std::string refusal_of(u32 ifindex) const;
    bool anything_received() const;

    XdpDataplane& xdp_;
    PoolOptions options_;
    std::map<u32, std::unique_ptr<HostPath>> host_paths_;  // by ifindex; null: refused
    std::vector<std::unique_ptr<Member>> members_;
    bool running_ = false;
};

}  // namespace sluice::control
