// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/worker_pool.h"

#include <sched.h>

#include <algorithm>
#include <thread>

#include "control/daemon/kernel_router.h"
#include "dataplane/base/log.h"
#include "dataplane/io/af_xdp/xsk_set.h"
#include "dataplane/worker/table_memory.h"
#include "dataplane/worker/worker.h"

namespace sluice::control {

namespace {

// Behind them lie the scratch slots of the XDP program, one per CPU from 0 on.
constexpr u32 first_scratch = FLOW_SCRATCH / 2;
constexpr u32 frames_per_queue = 4096;
constexpr u32 ethernet_overhead = 14 + 8;  // header and two tags
constexpr u32 headroom_and_tail = 256 + 256;

Polling polling_of(config::Poll poll) {
    switch (poll) {
        case config::Poll::adaptive: return Polling::adaptive;
        case config::Poll::busy: return Polling::busy;
        case config::Poll::interrupt: return Polling::interrupt;
    }
    return Polling::adaptive;
}

u32 usable_processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1U, std::thread::hardware_concurrency());
    return static_cast<u32>(CPU_COUNT(&set));
}

}  // namespace

u32 worker_count(const config::Workers& workers, const std::vector<XskQueue>& queues, u32 processors) {
    u32 most = 1;
    for (const XskQueue& queue : queues) most = std::max(most, queue.queue + 1);
    const u32 wished = workers.cores ? static_cast<u32>(workers.cores->size()) : std::max(2U, processors) - 1;
    return std::clamp(wished, 1U, most);
}

struct WorkerPool::Member {
    Member(WorkerCounters made, const node_state& node, netlink::KernelMirror& mirror)
        : counters(std::move(made)), router(node, mirror) {}

    WorkerCounters counters;
    KernelRouter router;
    std::unique_ptr<XskSet> sockets;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<Worker<XskPort>> worker;  // last: its thread uses the others
    std::optional<u32> core;
};

WorkerPool::WorkerPool(XdpDataplane& xdp, PoolOptions options) : xdp_(xdp), options_(std::move(options)) {}

Result<std::unique_ptr<WorkerPool>> WorkerPool::start(const PoolOptions& options, XdpDataplane& xdp,
                                                      netlink::KernelMirror& mirror) {
    std::unique_ptr<WorkerPool> pool(new WorkerPool(xdp, options));
    if (Status status = pool->open_host_paths(); !status) return status.error();
    const u32 count = worker_count(options.workers, options.queues, usable_processors());
    for (u32 i = 0; i < count; ++i) {
        if (Status status = pool->add_member(i, count, mirror); !status) return status.error();
    }
    return pool;
}

// Without one, frames that the engine passes are lost (host_path_full), which the operator is told once.
Status WorkerPool::open_host_paths() {
    for (const XskQueue& queue : options_.queues) {
        if (host_paths_.contains(queue.ifindex)) continue;
        auto host = HostPath::open(queue.interface, queue.ifindex, options_.mtu[queue.interface]);
        if (!host)
            spdlog::warn("interface {}: no way back to the host: {}", queue.interface, host.error().message);
        host_paths_[queue.ifindex] = host ? std::move(*host) : nullptr;
    }
    return {};
}

Status WorkerPool::add_member(u32 index, u32 count, netlink::KernelMirror& mirror) {
    std::vector<XskQueue> queues;
    for (const XskQueue& queue : options_.queues) {
        if (queue.queue % count == index) queues.push_back(queue);
    }
    Result<WorkerCounters> counters = WorkerCounters::create(options_.sizes.backends, options_.sizes.rules);
    if (!counters) return counters.error();
    auto member = std::make_unique<Member>(std::move(*counters), xdp_.node(), mirror);
    u32 mtu = 0;
    for (const auto& [device, bytes] : options_.mtu) mtu = std::max(mtu, bytes);
    UmemOptions umem;
    umem.frames = frames_per_queue * static_cast<u32>(std::max<size_t>(queues.size(), 1));
    umem.frame_size = mtu + ethernet_overhead + headroom_and_tail <= 2048 ? 2048 : 4096;
    XskOptions xsk;
    xsk.zero_copy = options_.zero_copy;
    xsk.busy_poll = options_.workers.poll == config::Poll::busy;
    auto sockets = XskSet::open(queues, umem, xsk);
    if (!sockets) return sockets.error();
    member->sockets = std::move(*sockets);
    struct tables tables {};
    xdp_.maps().fill(tables);
    member->counters.fill(tables);
    tables.scratch = (first_scratch + index) % FLOW_SCRATCH;
    EngineOptions engine;
    engine.fragments = options_.fragments;
    member->engine = std::make_unique<Engine>(tables, member->router, engine);
    if (options_.workers.cores) member->core = (*options_.workers.cores)[index];
    WorkerOptions worker;
    worker.name = fmt::format("sluice-w{}", index);
    worker.core = member->core;
    worker.polling = polling_of(options_.workers.poll);
    worker.batch = options_.workers.batch;
    member->worker =
        std::make_unique<Worker<XskPort>>(*member->engine, xdp_.node(), tables.port_counters, worker);
    for (const auto& port : member->sockets->ports())
        member->worker->add_port(*port, port->where().device, host_paths_[port->ifindex()].get());
    members_.push_back(std::move(member));
    return {};
}

Status WorkerPool::run() {
    for (const auto& member : members_) {
        if (Status status = member->worker->start(); !status) return status;
        for (const auto& port : member->sockets->ports()) {
            const XskQueue& at = port->where();
            if (Status status = xdp_.set_socket(at.device, at.queue, port->descriptor()); !status)
                return status;
        }
    }
    return {};
}

WorkerPool::~WorkerPool() {
    for (const XskQueue& at : options_.queues) {
        if (Status status = xdp_.clear_socket(at.device, at.queue); !status)
            spdlog::warn("{}", status.error().message);
    }
    for (const auto& member : members_) member->worker->stop();
}

void WorkerPool::set_image(const Image& image) {
    for (const auto& member : members_) {
        const u64 epoch = member->engine->epoch();
        member->engine->set_image(image.data());
        while (!member->engine->passed(epoch)) std::this_thread::yield();
    }
}

bool WorkerPool::zero_copy(u32 ifindex) const { return refusal_of(ifindex).empty(); }
std::string WorkerPool::zero_copy_refusal(u32 ifindex) const { return refusal_of(ifindex); }

// Of the first worker that serves the device; workers have like sockets.
std::string WorkerPool::refusal_of(u32 ifindex) const {
    for (const auto& member : members_) {
        for (const auto& port : member->sockets->ports()) {
            if (port->ifindex() != ifindex) continue;
            if (member->sockets->zero_copy()) return "";
            const std::string& refusal = member->sockets->zero_copy_refusal();
            return refusal.empty() ? "not asked for" : refusal;
        }
    }
    return "no socket";
}

std::vector<port_counters> WorkerPool::ports() const {
    std::vector<port_counters> sum(NODE_PORTS);
    const auto add = [](auto& to, const auto& from) {
        for (size_t i = 0; i < std::size(to); ++i) to[i] += from[i];
    };
    for (const auto& member : members_) {
        for (u32 i = 0; i < NODE_PORTS; ++i) {
            const struct port_counters& each = member->counters.ports()[i];
            sum[i].received_packets += each.received_packets;
            sum[i].received_bytes += each.received_bytes;
            add(sum[i].packets, each.packets);
            add(sum[i].bytes, each.bytes);
            add(sum[i].drops, each.drops);
            add(sum[i].punts, each.punts);
        }
    }
    return sum;
}

void WorkerPool::add_to(std::vector<backend_counters>& counters) const {
    for (const auto& member : members_) {
        const auto from = member->counters.backends();
        for (size_t i = 0; i < std::min(counters.size(), from.size()); ++i)
            counters[i] = counters[i] + from[i];
    }
}

void WorkerPool::add_to(std::vector<pair_counters>& counters) const {
    for (const auto& member : members_) {
        const auto from = member->counters.rules();
        for (size_t i = 0; i < std::min(counters.size(), from.size()); ++i)
            counters[i] = counters[i] + from[i];
    }
}

std::vector<worker_counters> WorkerPool::counters() const {
    std::vector<worker_counters> all;
    for (const auto& member : members_) all.push_back(member->counters.worker());
    return all;
}

std::vector<api::WorkerReport> WorkerPool::worker_reports() const {
    std::vector<api::WorkerReport> reports;
    for (const auto& member : members_) {
        const WorkerStatistics s = member->worker->statistics();
        api::WorkerReport report;
        report.id = static_cast<u32>(reports.size());
        report.core = member->core;
        report.busy_ns = s.busy_ns;
        report.idle_ns = s.total_ns > s.busy_ns ? s.total_ns - s.busy_ns : 0;
        report.sleeps = s.sleeps;
        report.batches = s.batches;
        report.frames = s.frames;
        report.transmit_refused = s.transmit_refused;
        report.host_path_refused = s.host_path_refused;
        reports.push_back(report);
    }
    return reports;
}

std::vector<api::QueueReport> WorkerPool::queue_reports(u32 ifindex) const {
    std::vector<api::QueueReport> reports;
    for (u32 i = 0; i < members_.size(); ++i) {
        for (const auto& port : members_[i]->sockets->ports()) {
            if (port->ifindex() != ifindex) continue;
            reports.push_back(
                {port->where().queue, i, members_[i]->sockets->zero_copy(), port->statistics()});
        }
    }
    std::sort(reports.begin(), reports.end(), [](const auto& a, const auto& b) { return a.queue < b.queue; });
    return reports;
}

}  // namespace sluice::control
