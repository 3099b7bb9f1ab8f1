// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/packet_tier.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <set>
#include <thread>

#include "control/daemon/packet_member.h"
#include "control/daemon/worker_report.h"
#include "control/sizing/sizing.h"
#include "dataplane/base/log.h"
#include "dataplane/placement/memory_scope.h"

namespace sluice::control {

namespace {

// Before them lie the XDP program's, the AF_XDP workers' and DPDK's.
constexpr u32 first_scratch = FLOW_SCRATCH * 7 / 8;

constexpr u32 link_room = 22;  // Ethernet header and two VLAN tags

// What has been shown already is retired within a millisecond, and read.
constexpr auto work_off = std::chrono::milliseconds(5);

u32 buffer_size(u32 mtu) { return std::max(2048U, std::bit_ceil(mtu + link_room + Umem::headroom)); }

bool contains(const std::vector<PacketDevice>& all, const PacketDevice& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

PacketTier::PacketTier(netlink::KernelMirror& mirror, const NodePlacement& placement)
    : mirror_(mirror), node_placement_(placement) {}

PacketTier::~PacketTier() { stop(); }

Status PacketTier::clean() { return HostPath::remove_pairs(); }

Result<PacketTier::Open> PacketTier::open(const PacketDevice& device) {
    Open out;
    out.device = device;
    PacketRingOptions ring;
    ring.ignored_mark = mark_passed;
    ring.shared = device.rings > 1;
    for (u32 i = 0; i < device.rings; ++i) {
        const PacketRing* const first = i == 0 ? nullptr : out.rings.front().get();
        auto opened = PacketRing::open(device.interface, device.ifindex, ring, first);
        if (!opened) return opened.error();
        out.rings.push_back(*std::move(opened));
    }
    auto host = HostPath::open_marked(device.interface, device.ifindex, device.mtu, mark_passed);
    // Without it the host would be cut off: better that the kernel keeps the interface.
    if (!host) return host.error();
    out.host = *std::move(host);
    return out;
}

void PacketTier::keep_rings(Open& device) {
    for (const auto& ring : device.rings) past_rings_[device.device.interface] += ring->statistics();
}

// Those that are not kept. The kernel has their packets again before their rings are emptied and closed.
void PacketTier::close(const std::vector<PacketDevice>& keep) {
    std::vector<std::string> going;
    for (const auto& [name, each] : open_) {
        if (!contains(keep, each.device)) going.push_back(name);
    }
    if (going.empty()) return;
    std::map<std::string, Open> gone;
    for (const std::string& name : going) {
        for (const auto& ring : open_[name].rings) {
            if (Status status = ring->pause(); !status) spdlog::warn("{}", status.error().message);
        }
        gone.insert(open_.extract(name));
    }
    if (Status status = guard(); !status) spdlog::warn("{}", status.error().message);
    std::this_thread::sleep_for(work_off);
    stop_workers();
    for (auto& [name, device] : gone) keep_rings(device);
}

Status PacketTier::guard() {
    std::set<std::string> names;
    for (const auto& [name, each] : open_) names.insert(name);
    return guard_.set(names);
}

bool PacketTier::is_refused(const PacketDevice& device) const {
    const auto at = refused_.find(device.interface);
    return at != refused_.end() && at->second.device == device;
}

// Its rings fill up from here on, and the kernel has its packets no more.
Status PacketTier::begin(const PacketDevice& device) {
    auto opened = open(device);
    if (!opened) return opened.error();
    const Open& now = open_.emplace(device.interface, *std::move(opened)).first->second;
    Status status = guard();
    for (const auto& ring : now.rings) {
        if (status) status = ring->begin();
    }
    return status;
}

void PacketTier::open_new(const std::vector<PacketDevice>& devices) {
    for (const PacketDevice& device : devices) {
        if (open_.contains(device.interface) || is_refused(device)) continue;
        const Status status = begin(device);
        if (status) {
            spdlog::info("interface {}: packet sockets, {} ring{}", device.interface, device.rings,
                         device.rings == 1 ? "" : "s");
            continue;
        }
        spdlog::warn("interface {}: no packet sockets: {}", device.interface, status.error().message);
        refused_[device.interface] = {device, status.error().message};
        if (open_.erase(device.interface) == 0) continue;
        if (Status undone = guard(); !undone) spdlog::warn("{}", undone.error().message);
    }
}

void PacketTier::set(NodeTables& tables, const std::vector<PacketDevice>& devices, EngineWorkers options) {
    std::erase_if(refused_, [&](const auto& each) { return !contains(devices, each.second.device); });
    close(devices);
    const size_t before = open_.size();
    open_new(devices);
    if (open_.size() == before && (open_.empty() || (running() && options.ways == options_.ways))) return;
    stop_workers();
    options_ = std::move(options);
    if (Status status = start_workers(tables); !status) {
        spdlog::warn("no workers for packet sockets: {}", status.error().message);
        for (const auto& [name, each] : open_) refused_[name] = {each.device, status.error().message};
        close({});
    }
}

void PacketTier::place() {
    std::vector<PlacedPort> ports;
    for (const auto& [name, each] : open_)
        ports.push_back({name, node_placement_.node_of(name), each.device.rings});
    placement_ = node_placement_.for_receivers(options_.settings, std::move(ports), options_.taken);
    placement_.title = "packet worker";
    for (const std::string& line : placement_.lines()) spdlog::info("placement: {}", line);
}

// What this worker alone uses is made, and therefore lies, on its node.
Status PacketTier::add_member(u32 index, NodeTables& tables) {
    const WorkerPlacement& place = placement_.plan.workers[index];
    const MemoryScope scope(place.memory_node ? std::vector{*place.memory_node} : std::vector<u32>{});
    auto counters = WorkerCounters::create(options_.sizes.backends, options_.sizes.rules);
    if (!counters) return counters.error();
    auto member = std::make_unique<Member>(*std::move(counters), tables.node(), mirror_);
    UmemOptions buffers;
    buffers.frames = frames_per_queue;
    for (const auto& [name, each] : open_)
        buffers.frame_size = std::max(buffers.frame_size, buffer_size(each.device.mtu));
    auto umem = Umem::create(buffers);
    if (!umem) return umem.error();
    member->buffers = *std::move(umem);
    member->place = place;
    struct tables view {};
    tables.fill(view);
    member->counters.fill(view);
    view.scratch = first_scratch + index % (FLOW_SCRATCH - first_scratch);
    member->engine = std::make_unique<Engine>(view, member->router, options_.engine("epoll"));
    if (tables.image()) member->engine->set_image(tables.image()->data());
    WorkerOptions worker;
    worker.name = fmt::format("sluice-p{}", index);
    worker.core = place.core;
    worker.polling = polling_of(options_.settings.poll);
    worker.batch = options_.settings.batch;
    member->worker =
        std::make_unique<Worker<PacketPort>>(*member->engine, tables.node(), view.port_counters, worker);
    for (const auto& [name, each] : open_) {
        for (u32 ring = 0; ring < each.rings.size(); ++ring) {
            if (placement_.worker_of(name, ring) != index) continue;
            member->ports.push_back(std::make_unique<PacketPort>(*each.rings[ring], *member->buffers));
            member->worker->add_port(*member->ports.back(), each.device.number, each.host.get());
        }
    }
    member->ways = open_ways(options_.ways, *member->worker);
    members_.push_back(std::move(member));
    return {};
}

Status PacketTier::start_workers(NodeTables& tables) {
    place();
    Status status;
    for (u32 i = 0; status && i < placement_.plan.workers.size(); ++i) status = add_member(i, tables);
    for (const auto& member : members_) {
        if (status) status = member->worker->start();
    }
    if (!status) stop_workers();
    return status;
}

void PacketTier::stop_workers() {
    for (const auto& member : members_) member->worker->stop();
    for (const auto& member : members_) past_.keep(member->counters);
    members_.clear();
}

void PacketTier::stop() {
    close({});
    stop_workers();
}

void PacketTier::set_image(const Image& image) {
    for (const auto& member : members_) {
        const u64 epoch = member->engine->epoch();
        member->engine->set_image(image.data());
        while (!member->engine->passed(epoch)) std::this_thread::yield();
    }
}

}  // namespace sluice::control
