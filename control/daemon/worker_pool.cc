// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/worker_pool.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "control/daemon/counter_sums.h"
#include "control/daemon/kernel_router.h"
#include "control/daemon/worker_report.h"
#include "control/sizing/sizing.h"
#include "dataplane/base/log.h"
#include "dataplane/io/af_xdp/xsk_set.h"
#include "dataplane/io/netlink/device_queues.h"
#include "dataplane/placement/huge_pages.h"
#include "dataplane/placement/memory_scope.h"
#include "dataplane/worker/kernel_workers.h"
#include "dataplane/worker/table_memory.h"

namespace sluice::control {

namespace {

// Behind them lie the scratch slots of the XDP program, one per CPU from 0 on.
constexpr u32 first_scratch = FLOW_SCRATCH / 2;

// Where a worker's packet buffers came to lie, in hundredths by node; empty: the kernel does not tell.
std::vector<u32> percent_by_node(const Umem& umem) {
    const std::vector<u64> pages = pages_by_node(umem.area(), umem.size());
    const u64 all = std::accumulate(pages.begin(), pages.end(), u64{0});
    std::vector<u32> percent;
    for (const u64 count : pages) percent.push_back(all == 0 ? 0 : static_cast<u32>(count * 100 / all));
    return percent;
}

}  // namespace

struct WorkerPool::Member {
    Member(WorkerCounters made, const node_state& node, netlink::KernelMirror& mirror)
        : counters(std::move(made)), router(node, mirror) {}

    WorkerCounters counters;
    KernelRouter router;
    std::unique_ptr<XskSet> sockets;
    std::vector<std::unique_ptr<PacketEgress>> ways;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<Worker<XskPort>> worker;  // last: its thread uses the others
    std::vector<u32> memory_percent;          // of the packet buffers, by node
};

WorkerPool::WorkerPool(XdpDataplane& xdp, PoolOptions options) : xdp_(xdp), options_(std::move(options)) {}

Result<std::unique_ptr<WorkerPool>> WorkerPool::start(const PoolOptions& options, XdpDataplane& xdp,
                                                      netlink::KernelMirror& mirror) {
    std::unique_ptr<WorkerPool> pool(new WorkerPool(xdp, options));
    auto& notes = pool->options_.placement.plan.notes;
    const std::vector<std::string> missing = pool->missing_huge_pages();
    notes.insert(notes.end(), missing.begin(), missing.end());
    if (Status status = pool->open_host_paths(); !status) return status.error();
    for (u32 i = 0; i < options.placement.plan.workers.size(); ++i) {
        if (Status status = pool->add_member(i, mirror); !status) return status.error();
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

UmemOptions WorkerPool::umem_options(size_t queues) const {
    u32 mtu = 0;
    for (const auto& [device, bytes] : options_.mtu) mtu = std::max(mtu, bytes);
    const bool kibibytes =
        std::any_of(options_.queues.begin(), options_.queues.end(),
                    [](const XskQueue& queue) { return netlink::receives_in_kibibytes(queue.interface); });
    UmemOptions umem;
    umem.frames = frames_per_queue * static_cast<u32>(std::max<size_t>(queues, 1));
    umem.frame_size = buffer_bytes(mtu, kibibytes);
    return umem;
}

// What this worker alone uses is made, and therefore lies, on its node. Its thread touches the rest first.
Status WorkerPool::add_member(u32 index, netlink::KernelMirror& mirror) {
    const WorkerPlacement& place = options_.placement.plan.workers[index];
    std::vector<XskQueue> queues;
    for (const XskQueue& queue : options_.queues) {
        if (options_.placement.worker_of(queue.interface, queue.queue) == index) queues.push_back(queue);
    }
    const MemoryScope scope(place.memory_node ? std::vector{*place.memory_node} : std::vector<u32>{});
    if (!scope.refusal().empty())
        spdlog::warn("worker {}: its memory is not bound: {}", index, scope.refusal());
    Result<WorkerCounters> counters = WorkerCounters::create(options_.sizes.backends, options_.sizes.rules);
    if (!counters) return counters.error();
    auto member = std::make_unique<Member>(std::move(*counters), xdp_.node(), mirror);
    XskOptions xsk;
    xsk.busy_poll = options_.workers.poll == config::Poll::busy;
    auto sockets = XskSet::open(queues, umem_options(queues.size()), xsk);
    if (!sockets) return sockets.error();
    member->sockets = std::move(*sockets);
    member->memory_percent = percent_by_node(member->sockets->umem());
    struct tables tables {};
    xdp_.maps().fill(tables);
    member->counters.fill(tables);
    tables.scratch = (first_scratch + index) % FLOW_SCRATCH;
    EngineOptions engine;
    engine.fragments = options_.fragments;
    if (options_.evaluation != nullptr) engine.evaluation = options_.evaluation->connect();
    if (options_.captures != nullptr) engine.capture = options_.captures->tap("af_xdp");
    member->engine = std::make_unique<Engine>(tables, member->router, engine);
    WorkerOptions worker;
    worker.name = fmt::format("sluice-w{}", index);
    worker.core = place.core;
    worker.polling = polling_of(options_.workers.poll);
    worker.batch = options_.workers.batch;
    member->worker =
        std::make_unique<Worker<XskPort>>(*member->engine, xdp_.node(), tables.port_counters, worker);
    for (const auto& port : member->sockets->ports())
        member->worker->add_port(*port, port->where().device, host_paths_[port->ifindex()].get());
    member->ways = open_ways(options_.ways, *member->worker);
    members_.push_back(std::move(member));
    return {};
}

// What huge pages the workers' buffers lack, by node; told before they are taken.
std::vector<std::string> WorkerPool::missing_huge_pages() const {
    std::vector<HugePageNeed> needs;
    for (const WorkerPlacement& worker : options_.placement.plan.workers) {
        const UmemOptions umem = umem_options(worker.queues.size());
        const u64 bytes = u64{umem.frames} * umem.frame_size;
        const u32 node = worker.memory_node.value_or(worker.node);
        const auto at = std::find_if(needs.begin(), needs.end(),
                                     [&](const HugePageNeed& need) { return need.node == node; });
        at == needs.end() ? needs.push_back({node, bytes}) : void(at->bytes += bytes);
    }
    return huge_page_shortfalls(read_huge_pages(), needs);
}

Status WorkerPool::run() {
    running_ = true;
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

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::stop() {
    if (!running_) return;
    running_ = false;
    for (const XskQueue& at : options_.queues) {
        if (Status status = xdp_.clear_socket(at.device, at.queue); !status)
            spdlog::warn("{}", status.error().message);
    }
    constexpr int most_waits = 50;
    constexpr int least_waits = 3;  // what the kernel has under way
    for (int i = 0; i < least_waits || (i < most_waits && anything_received()); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (const auto& member : members_) member->worker->stop();
}

bool WorkerPool::anything_received() const {
    return std::any_of(members_.begin(), members_.end(),
                       [](const auto& member) { return member->sockets->census(0).in_receive != 0; });
}

std::set<std::string> WorkerPool::interfaces() const {
    std::set<std::string> names;
    for (const XskQueue& queue : options_.queues) names.insert(queue.interface);
    return names;
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

// Of the first worker that serves the device without.
std::string WorkerPool::refusal_of(u32 ifindex) const {
    bool any = false;
    for (const auto& member : members_) {
        for (const auto& port : member->sockets->ports()) {
            if (port->ifindex() != ifindex) continue;
            any = true;
            if (member->sockets->zero_copy()) continue;
            const std::string& refusal = member->sockets->zero_copy_refusal();
            return refusal.empty() ? "not asked for" : refusal;
        }
    }
    return any ? "" : "no socket";
}

std::vector<port_counters> WorkerPool::ports() const {
    std::vector<port_counters> sum(NODE_PORTS);
    for (const auto& member : members_) add_ports(sum, member->counters.ports());
    return sum;
}

void WorkerPool::add_to(std::vector<backend_counters>& counters) const {
    for (const auto& member : members_) add_all(counters, member->counters.backends());
}

void WorkerPool::add_to(std::vector<pair_counters>& counters) const {
    for (const auto& member : members_) add_all(counters, member->counters.rules());
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
        const auto id = static_cast<u32>(reports.size());
        api::WorkerReport report =
            report_of(s, options_.placement.plan.workers[id], fmt::format("sluice-w{}", id));
        report.id = id;
        report.memory_percent = member->memory_percent;
        report.pages = page_kind_name(member->sockets->umem().pages());
        report.buffers = member->sockets->census(static_cast<u32>(s.waiting));
        reports.push_back(report);
    }
    return reports;
}

std::vector<api::QueueReport> WorkerPool::queue_reports(const std::string& interface) const {
    std::vector<api::QueueReport> reports;
    for (u32 i = 0; i < members_.size(); ++i) {
        for (const auto& port : members_[i]->sockets->ports()) {
            if (port->where().interface != interface) continue;
            reports.push_back(
                {port->where().queue, i, members_[i]->sockets->zero_copy(), port->statistics()});
        }
    }
    std::sort(reports.begin(), reports.end(), [](const auto& a, const auto& b) { return a.queue < b.queue; });
    return reports;
}

}  // namespace sluice::control
