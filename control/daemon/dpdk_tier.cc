// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/dpdk_tier.h"

#include <sched.h>

#include <algorithm>
#include <thread>

#include "control/compile/prefix.h"
#include "control/daemon/counter_sums.h"
#include "control/daemon/kernel_router.h"
#include "dataplane/base/log.h"
#include "dataplane/io/dpdk/dpdk_port.h"
#include "dataplane/io/dpdk/eal.h"
#include "dataplane/io/dpdk/host_bridge.h"
#include "dataplane/io/dpdk/stand_in.h"
#include "dataplane/worker/worker.h"

namespace sluice::control {

namespace {

// Behind them lie the AF_XDP workers' and the XDP program's.
constexpr u32 first_scratch = FLOW_SCRATCH * 3 / 4;
constexpr const char* af_xdp_driver = "net_af_xdp";

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

u32 wished_workers(const config::Workers& workers, u32 processors) {
    return workers.cores ? static_cast<u32>(workers.cores->size()) : std::max(2U, processors) - 1;
}

bool is_af_xdp(const std::string& device) { return device.starts_with(af_xdp_driver); }

DpdkDeviceOptions options_of(const config::Interface& interface, const config::Workers& workers) {
    DpdkDeviceOptions options;
    options.interface = interface.name;
    options.device = interface.dpdk->device;
    options.rx_queues = static_cast<u16>(interface.queues.value_or(interface.dpdk->rx_queues));
    options.rx_descriptors = static_cast<u16>(interface.dpdk->rx_descriptors);
    options.workers = static_cast<u16>(wished_workers(workers, usable_processors()));
    options.promiscuous = interface.promiscuous;
    if (interface.mtu) options.mtu = static_cast<u16>(*interface.mtu);
    return options;
}

// What a port is made from: another one is needed when this changes.
struct Wish {
    config::DpdkPort port;
    std::optional<u32> queues, mtu;
    bool promiscuous = false;
    std::optional<std::vector<config::InterfaceAddress>> addresses;
    bool operator==(const Wish&) const = default;
};

Wish wish_of(const config::Interface& interface) {
    return {*interface.dpdk, interface.queues, interface.mtu, interface.promiscuous, interface.addresses};
}

struct Member {
    Member(WorkerCounters made, const node_state& node, netlink::KernelMirror& mirror)
        : counters(std::move(made)), router(node, mirror) {}

    WorkerCounters counters;
    KernelRouter router;
    std::vector<std::unique_ptr<DpdkPort>> ports;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<Worker<DpdkPort>> worker;  // last: its thread uses the others
    std::optional<u32> core;
};

struct Device {
    Wish wish;
    std::unique_ptr<StandIn> stand_in;  // net_af_xdp
    std::unique_ptr<DpdkDevice> device;  // null: refused
    std::unique_ptr<HostPath> host;      // null: not wished for, or refused
    std::string host_refusal;
    std::string refusal;
    bool kernel_device = false;  // the interface is the kernel's as well
};

}  // namespace

u32 dpdk_worker_count(const config::Workers& workers, u32 queues, u32 processors) {
    return std::clamp(wished_workers(workers, processors), 1U, std::max(queues, 1U));
}

struct DpdkTier::State {
    explicit State(netlink::KernelMirror& kernel) : mirror(kernel) {}

    Device open(const config::Interface& interface, const config::Workers& workers, u32 made_up);
    Status open_device(Device& device, DpdkDeviceOptions options);
    void open_host_path(Device& device, const config::Interface& interface);
    Status start_eal(const config::Config& config, const Plans& plans);
    Status add_member(u32 index, u32 count, NodeTables& tables, const DpdkWorkers& options);
    void add_ports(Member& member, u32 index, u32 count, const DpdkWorkers& options);
    void keep_counters();
    u32 made_up() const;  // an ifindex for a port that is no kernel device
    void wait_for_workers() const;
    void reconnect();

    netlink::KernelMirror& mirror;
    std::map<std::string, Device> devices;  // by interface
    std::vector<std::unique_ptr<Member>> members;
    HostBridge bridge;
    u32 seconds = 0;
    // Of workers that have stopped: what they counted stays counted.
    std::vector<port_counters> past_ports = std::vector<port_counters>(NODE_PORTS);
    std::vector<backend_counters> past_backends;
    std::vector<pair_counters> past_rules;
    std::vector<worker_counters> past_workers;
};

DpdkTier::DpdkTier(netlink::KernelMirror& mirror) : state_(std::make_unique<State>(mirror)) {}

DpdkTier::~DpdkTier() { stop_workers(); }

// With room for all that is configured: without huge pages it cannot grow later.
Status DpdkTier::State::start_eal(const config::Config& config, const Plans& plans) {
    EalOptions options;
    for (const config::Interface& interface : config.interfaces) {
        const auto plan = plans.find(interface.name);
        if (plan != plans.end() && plan->second.dpdk)
            options.memory += DpdkDevice::memory(options_of(interface, config.workers));
    }
    const bool first = !Eal::running();
    Status status = Eal::start(options);
    if (first && status && !Eal::shortcoming().empty()) spdlog::warn("dpdk: {}", Eal::shortcoming());
    return status;
}

Status DpdkTier::State::open_device(Device& device, DpdkDeviceOptions options) {
    if (is_af_xdp(options.device)) {
        auto stand_in = StandIn::create();
        if (!stand_in) return stand_in.error();
        device.stand_in = std::move(*stand_in);
        options.device += fmt::format(",xdp_prog={}", device.stand_in->path());
    }
    auto opened = DpdkDevice::open(options);
    if (!opened) return opened.error();
    device.device = std::move(*opened);
    if (!device.stand_in) return {};
    // The sockets are there; what they receive is our program's to say.
    return device.stand_in->take_off(options.ifindex).with_context("interface " + options.interface);
}

void DpdkTier::State::open_host_path(Device& device, const config::Interface& interface) {
    if (interface.dpdk->host_path == config::HostPath::none) return;
    const DpdkDevice& port = *device.device;
    auto host = device.kernel_device ? HostPath::open(interface.name, port.options().ifindex, port.mtu())
                                     : HostPath::create(interface.name, port.mac(), port.mtu());
    if (!host) {
        device.host_refusal = host.error().message;
        spdlog::warn("interface {}: no way to the host: {}", interface.name, device.host_refusal);
        return;
    }
    device.host = std::move(*host);
    if (device.kernel_device || !interface.addresses) return;
    for (const config::InterfaceAddress& own : *interface.addresses) {
        const Status added = device.host->add_address(compile::to_address(own.address), own.length);
        if (!added) spdlog::warn("{}: {}", own.text(), added.error().message);
    }
}

Device DpdkTier::State::open(const config::Interface& interface, const config::Workers& workers, u32 made_up) {
    Device device;
    device.wish = wish_of(interface);
    DpdkDeviceOptions options = options_of(interface, workers);
    const netlink::Link* link = mirror.view().link(interface.name);
    device.kernel_device = link != nullptr;
    options.ifindex = link != nullptr ? link->ifindex : made_up;
    const Status opened = open_device(device, options);
    if (!opened) {
        device.refusal = opened.error().message;
        device.device.reset();
        return device;
    }
    const DpdkDevice& port = *device.device;
    open_host_path(device, interface);
    if (device.host && !device.kernel_device) device.device->set_ifindex(device.host->ifindex());
    spdlog::info("interface {}: DPDK port {} ({}), {} receive and {} transmit queues, MTU {}, {}", interface.name,
                 interface.dpdk->device, port.driver(), port.rx_queues(), port.tx_queues(), port.mtu(),
                 port.symmetric_rss()  ? "symmetric RSS"
                 : port.rx_queues() > 1 ? "no RSS that we can key: flows are found across workers"
                                        : "one queue");
    return device;
}

u32 DpdkTier::State::made_up() const {
    u32 ifindex = NODE_MADE_UP;
    const auto taken = [&](const auto& each) {
        return each.second.device && each.second.device->options().ifindex == ifindex;
    };
    while (std::any_of(devices.begin(), devices.end(), taken)) ++ifindex;
    return ifindex;
}

void DpdkTier::set_devices(const config::Config& config, const Plans& plans) {
    State& s = *state_;
    const auto wanted = [&](const std::string& name) {
        const auto plan = plans.find(name);
        return plan != plans.end() && plan->second.dpdk;
    };
    std::map<std::string, const config::Interface*> changed;
    for (const config::Interface& interface : config.interfaces) {
        if (!interface.dpdk || !wanted(interface.name)) continue;
        const auto known = s.devices.find(interface.name);
        if (known == s.devices.end() || known->second.wish != wish_of(interface))
            changed[interface.name] = &interface;
    }
    const bool some_go =
        std::any_of(s.devices.begin(), s.devices.end(), [&](const auto& each) { return !wanted(each.first); });
    if (changed.empty() && !some_go) return;
    stop_workers();
    std::erase_if(s.devices,
                  [&](const auto& each) { return !wanted(each.first) || changed.contains(each.first); });
    if (changed.empty()) return;
    const Status eal = s.start_eal(config, plans);
    for (const auto& [name, interface] : changed) {
        if (eal) {
            s.devices[name] = s.open(*interface, config.workers, s.made_up());
            if (!s.devices[name].device) spdlog::warn("{}", s.devices[name].refusal);
        } else {
            Device refused;
            refused.wish = wish_of(*interface);
            refused.refusal = eal.error().message;
            s.devices[name] = std::move(refused);
        }
    }
}

// A worker that has gone round twice since uses nothing that was suspended before.
void DpdkTier::State::wait_for_workers() const {
    constexpr auto patience = std::chrono::milliseconds(500);
    const auto limit = std::chrono::steady_clock::now() + patience;
    for (const auto& member : members) {
        const u64 seen = member->worker->statistics().polls;
        while (member->worker->statistics().polls < seen + 2 && std::chrono::steady_clock::now() < limit)
            std::this_thread::yield();
    }
}

void DpdkTier::State::reconnect() {
    std::vector<DpdkDevice*> orphans;
    for (const auto& [name, each] : devices) {
        if (!each.device || !each.device->is_orphan()) continue;
        if (each.device->ready()) spdlog::warn("interface {}: its memif server is gone", name);
        each.device->suspend();
        orphans.push_back(each.device.get());
    }
    if (orphans.empty()) return;
    wait_for_workers();
    for (DpdkDevice* device : orphans) {
        if (device->resume()) spdlog::info("interface {}: connecting to a memif server", device->options().interface);
    }
}

// Only what nothing else serves: a fallback is not taken off for it.
bool DpdkTier::tend(const config::Config& config, const Plans& plans) {
    constexpr u32 seconds_between_tries = 5;
    State& s = *state_;
    s.reconnect();
    if (!Eal::running() || ++s.seconds % seconds_between_tries != 0) return false;
    for (const config::Interface& interface : config.interfaces) {
        const auto known = s.devices.find(interface.name);
        if (known == s.devices.end() || known->second.device || plans.at(interface.name).program()) continue;
        const Eal::Quiet quiet;
        Device again = s.open(interface, config.workers, s.made_up());
        if (!again.device) continue;
        stop_workers();
        known->second = std::move(again);
        return true;
    }
    return false;
}

bool DpdkTier::serves(const std::string& interface) const {
    const auto at = state_->devices.find(interface);
    return at != state_->devices.end() && at->second.device != nullptr;
}

std::string DpdkTier::refusal(const std::string& interface) const {
    const auto at = state_->devices.find(interface);
    return at == state_->devices.end() ? "" : at->second.refusal;
}

bool DpdkTier::behind_program(const std::string& interface) const {
    const auto at = state_->devices.find(interface);
    return at != state_->devices.end() && at->second.device && at->second.stand_in;
}

std::vector<int> DpdkTier::sockets(const std::string& interface) const {
    std::vector<int> found;
    if (!behind_program(interface)) return found;
    const DpdkDevice& device = *state_->devices.at(interface).device;
    for (u16 queue = 0; queue < device.rx_queues(); ++queue) found.push_back(device.xdp_socket(queue));
    return found;
}

std::vector<netlink::Link> DpdkTier::links() const {
    std::vector<netlink::Link> links;
    for (const auto& [name, each] : state_->devices) {
        if (!each.device || each.kernel_device || each.host) continue;
        netlink::Link link;
        link.ifindex = each.device->options().ifindex;
        link.name = name;
        std::copy_n(each.device->mac(), link.mac.size(), link.mac.begin());
        link.mtu = each.device->mtu();
        link.up = each.device->link().up;
        links.push_back(std::move(link));
    }
    return links;
}

// Receive queues go round the workers, over all devices; the n-th worker sends on transmit queue n where a
// device has so many, else by its inlet.
void DpdkTier::State::add_ports(Member& member, u32 index, u32 count, const DpdkWorkers& options) {
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
    auto member = std::make_unique<Member>(std::move(*counters), tables.node(), mirror);
    struct tables view {};
    tables.fill(view);
    member->counters.fill(view);
    view.scratch = first_scratch + index % (FLOW_SCRATCH - first_scratch);
    EngineOptions engine;
    engine.fragments = options.fragments;
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
    if (queues > count) spdlog::info("dpdk: {} receive queues for {} workers: some poll several", queues, count);
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

bool DpdkTier::running() const { return !state_->members.empty(); }

std::vector<port_counters> DpdkTier::ports() const {
    std::vector<port_counters> sum = state_->past_ports;
    for (const auto& member : state_->members) control::add_ports(sum, member->counters.ports());
    return sum;
}

void DpdkTier::add_to(std::vector<backend_counters>& counters) const {
    add_all(counters, std::span<const backend_counters>(state_->past_backends));
    for (const auto& member : state_->members) add_all(counters, member->counters.backends());
}

void DpdkTier::add_to(std::vector<pair_counters>& counters) const {
    add_all(counters, std::span<const pair_counters>(state_->past_rules));
    for (const auto& member : state_->members) add_all(counters, member->counters.rules());
}

std::vector<worker_counters> DpdkTier::counters() const {
    std::vector<worker_counters> all = state_->past_workers;
    for (const auto& member : state_->members) all.push_back(member->counters.worker());
    return all;
}

std::vector<api::WorkerReport> DpdkTier::worker_reports(u32 first) const {
    std::vector<api::WorkerReport> reports;
    for (const auto& member : state_->members) {
        const WorkerStatistics s = member->worker->statistics();
        api::WorkerReport report;
        report.id = first + static_cast<u32>(reports.size());
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

std::optional<api::DpdkReport> DpdkTier::device_report(const std::string& interface) const {
    const auto at = state_->devices.find(interface);
    if (at == state_->devices.end() || !at->second.device) return std::nullopt;
    const Device& each = at->second;
    api::DpdkReport report;
    report.device = each.device->options().device;
    report.driver = each.device->driver();
    report.rx_queues = each.device->rx_queues();
    report.tx_queues = each.device->tx_queues();
    report.symmetric_rss = each.device->symmetric_rss();
    report.link = each.device->link();
    report.statistics = each.device->statistics();
    report.extended = each.device->extended_statistics();
    report.host_path = each.host ? each.host->name() : "";
    report.host_delivered = each.host ? each.host->delivered() : 0;
    report.host_refused = each.host ? each.host->refused() : 0;
    for (const auto& member : state_->members) {
        for (const auto& port : member->ports) {
            if (&port->device() == each.device.get()) report.ports += port->statistics();
        }
    }
    return report;
}

api::TierReport DpdkTier::tier_report(const std::string& interface) const {
    api::TierReport report;
    const auto at = state_->devices.find(interface);
    if (at == state_->devices.end()) {
        report.reason = "not brought up yet";
        return report;
    }
    const Device& each = at->second;
    report.active = each.device != nullptr && running();
    report.reason = each.refusal;
    if (!report.active) return report;
    report.mode = each.device->driver();
    if (!Eal::shortcoming().empty()) report.reason = Eal::shortcoming();
    if (!each.host_refusal.empty())
        report.reason += fmt::format("{}host path: {}", report.reason.empty() ? "" : "; ", each.host_refusal);
    return report;
}

}  // namespace sluice::control
