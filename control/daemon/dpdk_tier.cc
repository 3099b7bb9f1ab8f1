// SPDX-License-Identifier: Apache-2.0
//
// The part of the DPDK tier that runs workers.
#include "control/daemon/dpdk_tier.h"

#include <algorithm>
#include <thread>

#include "control/daemon/counter_sums.h"
#include "control/daemon/dpdk_state.h"
#include "control/daemon/worker_report.h"
#include "dataplane/base/log.h"
#include "dataplane/placement/memory_scope.h"

namespace sluice::control {

namespace {

// Before them lie the XDP program's and the AF_XDP workers', behind them those of packet sockets.
constexpr u32 first_scratch = FLOW_SCRATCH * 3 / 4;
constexpr u32 scratch_slots = FLOW_SCRATCH / 8;

}  // namespace

DpdkTier::DpdkTier(netlink::KernelMirror& mirror, const NodePlacement& placement,
                   std::function<void()> before_pause)
    : state_(std::make_unique<State>(mirror, placement, std::move(before_pause))) {}

DpdkTier::~DpdkTier() { state_->stop(); }

// The planner deals the receive queues; a worker sends on the transmit queue of its rank where the device has
// so many, else by the device's inlet.
void DpdkTier::State::add_ports(DpdkMember& member, u32 index, const DpdkWorkers& options) {
    for (const auto& [name, each] : devices) {
        if (!each.device) continue;
        std::vector<u16> queues;
        for (u16 queue = 0; queue < each.device->rx_queues(); ++queue) {
            if (placement.worker_of(name, queue) == index) queues.push_back(queue);
        }
        const u32 rank = rank_of(name, index);
        const bool own = rank < each.device->tx_queues();
        const std::optional<u16> transmit = own ? std::optional<u16>(static_cast<u16>(rank)) : std::nullopt;
        auto port = std::make_unique<DpdkPort>(*each.device, std::move(queues), transmit);
        const auto number = options.numbers.find(name);
        if (number != options.numbers.end()) member.worker->add_port(*port, number->second, each.host.get());
        member.ports.push_back(std::move(port));
    }
}

// Those that receive on a device come first, so that one of a single queue is a single worker's.
u32 DpdkTier::State::rank_of(const std::string& device, u32 worker) const {
    const auto receives = [&](u32 index) {
        const auto& queues = placement.plan.workers[index].queues;
        return std::any_of(queues.begin(), queues.end(), [&](const QueueOfPort& each) {
            return placement.ports[each.port].name == device;
        });
    };
    u32 rank = 0;
    for (u32 other = 0; other < placement.plan.workers.size(); ++other) {
        if (receives(other) ? !receives(worker) || other < worker : !receives(worker) && other < worker)
            ++rank;
    }
    return rank;
}

// What this worker alone uses is made, and therefore lies, on its node.
Status DpdkTier::State::add_member(u32 index, NodeTables& tables, const DpdkWorkers& options) {
    const WorkerPlacement& place = placement.plan.workers[index];
    const MemoryScope scope(place.memory_node ? std::vector{*place.memory_node} : std::vector<u32>{});
    if (!scope.refusal().empty())
        spdlog::warn("dpdk worker {}: its memory is not bound: {}", index, scope.refusal());
    auto counters = WorkerCounters::create(options.sizes.backends, options.sizes.rules);
    if (!counters) return counters.error();
    auto member = std::make_unique<DpdkMember>(std::move(*counters), tables.node(), mirror);
    struct tables view {};
    tables.fill(view);
    member->counters.fill(view);
    view.scratch = first_scratch + index % scratch_slots;
    member->engine = std::make_unique<Engine>(view, member->router, options.engine("dpdk"));
    if (tables.image()) member->engine->set_image(tables.image()->data());
    member->place = place;
    WorkerOptions worker;
    worker.name = fmt::format("sluice-d{}", index);
    worker.core = place.core;
    worker.polling = polling_of(options.settings.poll);
    worker.batch = options.settings.batch;
    member->worker =
        std::make_unique<Worker<DpdkPort>>(*member->engine, tables.node(), view.port_counters, worker);
    add_ports(*member, index, options);
    member->ways = open_ways(ways, *member->worker);
    members.push_back(std::move(member));
    return {};
}

void DpdkTier::State::place_workers(const DpdkWorkers& options) {
    std::vector<PlacedPort> ports;
    for (const auto& [name, each] : devices) {
        if (each.device) ports.push_back({name, each.node, each.device->rx_queues()});
    }
    placement = node_placement.for_receivers(options.settings, std::move(ports), options.taken);
    placement.title = "dpdk worker";
    for (const std::string& line : placement.lines()) spdlog::info("placement: {}", line);
}

std::vector<WayOut> DpdkTier::State::ways_of(const DpdkWorkers& options) const {
    std::vector<WayOut> others = options.ways;
    std::erase_if(others, [&](const WayOut& way) {
        const auto at = devices.find(way.interface);
        return at != devices.end() && at->second.device;
    });
    return others;
}

Status DpdkTier::start_workers(NodeTables& tables, const DpdkWorkers& options) {
    State& s = *state_;
    const std::vector<WayOut> ways = s.ways_of(options);
    if (!s.members.empty() && s.ways == ways) return {};
    stop_workers();
    s.ways = ways;
    bool any = false;
    std::vector<HostBridge::Span> spans;
    for (const auto& [name, each] : s.devices) {
        if (!each.device) continue;
        any = true;
        if (each.host && !each.kernel_device) spans.push_back({each.host.get(), each.device.get()});
    }
    if (!any) return {};
    s.place_workers(options);
    Status status;
    for (u32 i = 0; status && i < s.placement.plan.workers.size(); ++i)
        status = s.add_member(i, tables, options);
    for (const auto& member : s.members) {
        if (status) status = member->worker->start();
    }
    if (status) status = s.bridge.start(std::move(spans));
    if (!status) stop_workers();
    return status;
}

// What has been handed over already, and what the kernel is still handing over, for a twentieth of a second
// at most. What comes from devices without our program in front does not end: it waits in their rings.
void DpdkTier::State::work_off() const {
    constexpr int most_waits = 50;
    constexpr int least_waits = 3;
    const auto frames = [this] {
        u64 sum = 0;
        for (const auto& member : members) sum += member->worker->statistics().frames;
        return sum;
    };
    u64 before = frames();
    for (int i = 0; i < most_waits; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        wait_for_workers();
        const u64 now = frames();
        if (i + 1 >= least_waits && (now == before || !only_behind_program())) return;
        before = now;
    }
}

bool DpdkTier::State::only_behind_program() const {
    return std::all_of(devices.begin(), devices.end(),
                       [](const auto& each) { return !each.second.device || each.second.stand_in; });
}

void DpdkTier::State::stop() {
    bridge.stop();
    for (const auto& member : members) member->worker->stop();
    for (const auto& member : members) past.keep(member->counters);
    members.clear();
}

void DpdkTier::stop_workers() {
    State& s = *state_;
    if (!s.members.empty()) {
        s.before_pause();
        s.work_off();
    }
    s.stop();
}

void DpdkTier::set_image(const Image& image) {
    for (const auto& member : state_->members) {
        const u64 epoch = member->engine->epoch();
        member->engine->set_image(image.data());
        while (!member->engine->passed(epoch)) std::this_thread::yield();
    }
}

}  // namespace sluice::control
