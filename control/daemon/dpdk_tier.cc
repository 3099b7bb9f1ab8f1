// SPDX-License-Identifier: Apache-2.0
//
// The part of the DPDK tier that runs workers.
#include "control/daemon/dpdk_tier.h"

#include <sched.h>

#include <algorithm>
#include <thread>

#include "control/daemon/counter_sums.h"
#include "control/daemon/dpdk_state.h"
#include "dataplane/base/log.h"

namespace sluice::control {

namespace {

// Behind them lie the AF_XDP workers' and the XDP program's.
constexpr u32 first_scratch = FLOW_SCRATCH * 3 / 4;

Polling polling_of(config::Poll poll) {
    switch (poll) {
        case config::Poll::adaptive: return Polling::adaptive;
        case config::Poll::busy: return Polling::busy;
        case config::Poll::interrupt: return Polling::interrupt;
    }
    return Polling::adaptive;
}

}  // namespace

u32 usable_processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1U, std::thread::hardware_concurrency());
    return static_cast<u32>(CPU_COUNT(&set));
}

u32 wished_workers(const config::Workers& workers, u32 processors) {
    return workers.cores ? static_cast<u32>(workers.cores->size()) : std::max(2U, processors) - 1;
}

u32 dpdk_worker_count(const config::Workers& workers, u32 queues, u32 processors) {
    return std::clamp(wished_workers(workers, processors), 1U, std::max(queues, 1U));
}

DpdkTier::DpdkTier(netlink::KernelMirror& mirror) : state_(std::make_unique<State>(mirror)) {}

DpdkTier::~DpdkTier() { stop_workers(); }

// Receive queues go round the workers, over all devices; the n-th worker sends on transmit queue n where a
// device has so many, else by its inlet.
void DpdkTier::State::add_ports(DpdkMember& member, u32 index, u32 count, const DpdkWorkers& options) {
    u32 next = 0;
    for (const auto& [name, each] : devices) {
        if (!each.device) continue;
        const u32 first = next;
        std::vector<u16> queues;
        for (u16 queue = 0; queue < each.device->rx_queues(); ++queue, ++next) {
            if (next % count == index) queues.push_back(queue);
        }
        // The worker of its first queue owns transmit queue 0, so that a device of one queue has one worker.
        const u32 turn = (index + count - first % count) % count;
        const bool own = turn < each.device->tx_queues();
        const std::optional<u16> transmit = own ? std::optional<u16>(static_cast<u16>(turn)) : std::nullopt;
        auto port = std::make_unique<DpdkPort>(*each.device, std::move(queues), transmit);
        const auto number = options.numbers.find(name);
        if (number != options.numbers.end()) member.worker->add_port(*port, number->second, each.host.get());
        member.ports.push_back(std::move(port));
    }
}

Status DpdkTier::State::add_member(u32 index, u32 count, NodeTables& tables, const DpdkWorkers& options) {
    auto counters = WorkerCounters::create(options.sizes.backends, options.sizes.rules);
    if (!counters) return counters.error();
    auto member = std::make_unique<DpdkMember>(std::move(*counters), tables.node(), mirror);
    struct tables view {};
    tables.fill(view);
    member->counters.fill(view);
    view.scratch = first_scratch + index % (FLOW_SCRATCH - first_scratch);
    EngineOptions engine;
    engine.fragments = options.fragments;
    if (options.evaluation != nullptr) engine.evaluation = options.evaluation->connect();
    member->engine = std::make_unique<Engine>(view, member->router, engine);
    if (tables.image()) member->engine->set_image(tables.image()->data());
    if (options.settings.cores) member->core = (*options.settings.cores)[index];
    WorkerOptions worker;
    worker.name = fmt::format("sluice-d{}", index);
    worker.core = member->core;
    worker.polling = polling_of(options.settings.poll);
    worker.batch = options.settings.batch;
    member->worker =
        std::make_unique<Worker<DpdkPort>>(*member->engine, tables.node(), view.port_counters, worker);
    add_ports(*member, index, count, options);
    members.push_back(std::move(member));
    return {};
}

Status DpdkTier::start_workers(NodeTables& tables, const DpdkWorkers& options) {
    State& s = *state_;
    if (!s.members.empty()) return {};
    u32 queues = 0;
    std::vector<HostBridge::Span> spans;
    for (const auto& [name, each] : s.devices) {
        if (!each.device) continue;
        queues += each.device->rx_queues();
        if (each.host && !each.kernel_device) spans.push_back({each.host.get(), each.device.get()});
    }
    if (queues == 0) return {};
    const u32 count = dpdk_worker_count(options.settings, queues, usable_processors());
    if (queues > count)
        spdlog::info("dpdk: {} receive queues for {} workers: some poll several", queues, count);
    Status status;
    for (u32 i = 0; status && i < count; ++i) status = s.add_member(i, count, tables, options);
    for (const auto& member : s.members) {
        if (status) status = member->worker->start();
    }
    if (status) status = s.bridge.start(std::move(spans));
    if (!status) stop_workers();
    return status;
}

void DpdkTier::State::keep_counters() {
    for (const auto& member : members) {
        control::add_ports(past_ports, member->counters.ports());
        past_backends.resize(std::max(past_backends.size(), member->counters.backends().size()));
        past_rules.resize(std::max(past_rules.size(), member->counters.rules().size()));
        add_all(past_backends, member->counters.backends());
        add_all(past_rules, member->counters.rules());
        past_workers.push_back(member->counters.worker());
    }
}

void DpdkTier::stop_workers() {
    State& s = *state_;
    s.bridge.stop();
    for (const auto& member : s.members) member->worker->stop();
    s.keep_counters();
    s.members.clear();
}

void DpdkTier::set_image(const Image& image) {
    for (const auto& member : state_->members) {
        const u64 epoch = member->engine->epoch();
        member->engine->set_image(image.data());
        while (!member->engine->passed(epoch)) std::this_thread::yield();
    }
}

}  // namespace sluice::control
