// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/tiers.h"

#include <algorithm>
#include <filesystem>

#include "dataplane/base/log.h"
#include "dataplane/io/netlink/device_queues.h"
#include "dataplane/placement/memory_scope.h"

namespace sluice::control {

namespace {

constexpr u32 all_punts = (1U << PUNT_COUNT) - 2;  // all kinds but none

bool same_queues(const std::vector<XskQueue>& a, const std::vector<XskQueue>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const XskQueue& x, const XskQueue& y) {
        return x.ifindex == y.ifindex && x.device == y.device && x.queue == y.queue;
    });
}

// Whether a device's frames may be longer NOW than BEFORE, by which buffers and host paths were made.
bool outgrown(const std::map<std::string, u32>& now, const std::map<std::string, u32>& before) {
    return std::any_of(now.begin(), now.end(), [&](const auto& device) {
        const auto at = before.find(device.first);
        return at == before.end() || device.second > at->second;
    });
}

}  // namespace

Status Tiers::open(const config::Config& config, const Plans& plans) {
    const bool wanted =
        std::any_of(plans.begin(), plans.end(), [](const auto& each) { return each.second.needs_program(); });
    const bool engines = std::any_of(plans.begin(), plans.end(), [&](const auto& each) {
        return each.second.dpdk || (each.second.packets && claims_packets(config));
    });
    std::error_code ignored;
    sizes_ = MapSizes::rounded(config.tables.flows, config.tables.sources, config.tables.backends,
                               POLICY_MAX_WORDS * 64);
    const MemoryScope scope(placement_.table_nodes(config));
    if (!scope.refusal().empty()) spdlog::warn("tables are not bound to a node: {}", scope.refusal());
    if (!wanted && !std::filesystem::exists(config.state.bpffs, ignored))
        return engines ? open_tables() : Status{};
    auto opened = XdpDataplane::open({config.state.bpffs, sizes_, true});
    if (!opened) {
        open_refusal_ = opened.error().message;
        spdlog::warn("XDP cannot be had: {}", open_refusal_);
        return engines ? open_tables() : check_requirements(plans);
    }
    if (wanted) {
        xdp_ = std::move(*opened);
        xdp_->node().punts = 0;  // nobody takes what is handed over, until workers run
        return open_tables();
    }
    spdlog::info("an earlier daemon's program is taken off: no interface wants it");
    if (Status status = (*opened)->detach_all(); !status) return status;
    return engines ? open_tables() : Status{};
}

Status Tiers::open_tables() {
    if (xdp_) {
        tables_ = NodeTables::of(*xdp_);
    } else {
        auto made = NodeTables::in_memory(sizes_);
        if (!made) return made.error();
        tables_ = std::move(*made);
    }
    return {};
}

Status Tiers::start_evaluation() {
    if (!tables_) return {};
    struct tables view {};
    tables_->fill(view);
    return evaluation_.start(view, tables_->node());
}

bool Tiers::program_wanted(const InterfacePlan& plan) const {
    return dpdk_.serves(plan.name) ? dpdk_.behind_program(plan.name) : plan.program();
}

bool Tiers::engine_only(const InterfacePlan& plan) const {
    return dpdk_.serves(plan.name) ? dpdk_.behind_program(plan.name) : plan.engine_only();
}

Status Tiers::set_ports(const std::vector<PortSetting>& ports) {
    if (!tables_) return {};
    std::vector<u8> stay;
    for (const PortSetting& port : ports) {
        const node_port& now = node().ports[port.number];
        if (port.present && now.ifindex == port.port.ifindex && now.vlan == port.port.vlan)
            stay.push_back(port.number);
    }
    // Before any is set: two that swapped their devices are in each other's way otherwise.
    for (u8 number = 1; number < NODE_PORTS; ++number) {
        if (std::find(stay.begin(), stay.end(), number) != stay.end()) continue;
        if (node().ports[number].ifindex == 0) continue;
        if (Status status = tables_->clear_port(number); !status) return status;
    }
    for (const PortSetting& port : ports) {
        if (!port.present) continue;
        node_port value = port.port;
        if (!engine_runs(port.device)) value.flags &= static_cast<u8>(~PORT_ENGINE);
        if (Status status = tables_->set_port(port.number, value); !status)
            return std::move(status).with_context("interface " + port.name);
    }
    ports_ = ports;
    return {};
}

Status Tiers::publish(const compile::Snapshot& snapshot) {
    if (!tables_) return {};
    return tables_->publish(snapshot, [this](const Image& next) {
        if (pool_) pool_->set_image(next);
        dpdk_.set_image(next);
        packets_.set_image(next);
    });
}

Status Tiers::bring_up(const config::Config& config, const Plans& plans,
                       const std::vector<PortSetting>& ports) {
    if (!tables_) return {};
    claims_ = claims_packets(config);
    update_packets(config, plans, ports, true);
    if (xdp_) {
        update_devices(plans, ports);
        update_workers(config, plans, ports);
    }
    start_dpdk(config, ports);
    hand_over_to_engines(ports);
    take_off_unserved(plans);
    update_packets(config, plans, ports, false);
    return check_requirements(plans);
}

// Devices whose packets nobody but an engine was to take, and none does.
void Tiers::take_off_unserved(const Plans& plans) {
    for (auto& [name, device] : devices_) {
        const auto plan = plans.find(name);
        if (plan == plans.end() || !engine_only(plan->second) || device.engine || !device.attachment ||
            dpdk_.serves(name))
            continue;
        spdlog::warn("interface {}: the program is taken off: no engine takes what it hands over", name);
        detach(device);
    }
}

EngineWorkers Tiers::engine_workers(const config::Config& config, const std::vector<PortSetting>& ports) {
    EngineWorkers options;
    options.settings = config.workers;
    options.fragments = config.tables.fragments;
    options.sizes = sizes_;
    options.evaluation = &evaluation_;
    options.captures = captures_;
    if (pool_) options.taken = pool_->placement().cores();
    options.ways = ways_out(ports);
    return options;
}

void Tiers::start_dpdk(const config::Config& config, const std::vector<PortSetting>& ports) {
    DpdkWorkers options{engine_workers(config, ports), {}};
    for (const PortSetting& port : ports) {
        if (port.name == port.device) options.numbers[port.name] = port.number;
    }
    const Status status = dpdk_.start_workers(*tables_, options);
    no_dpdk_ = status ? "" : status.error().message;
    if (!status) spdlog::warn("dpdk: no workers: {}", no_dpdk_);
    if (xdp_) connect_sockets(ports);
}

// net_af_xdp: the program hands over to the sockets of DPDK's driver.
void Tiers::connect_sockets(const std::vector<PortSetting>& ports) {
    for (const PortSetting& port : ports) {
        if (port.name != port.device) continue;
        const std::vector<int> sockets = dpdk_.sockets(port.name);
        for (u32 queue = 0; queue < sockets.size(); ++queue) {
            const Status set = xdp_->set_socket(port.number, queue, sockets[queue]);
            if (!set) spdlog::warn("interface {}: {}", port.name, set.error().message);
        }
        if (!sockets.empty()) xdp_->node().punts = all_punts;
    }
}

void Tiers::update_devices(const Plans& plans, const std::vector<PortSetting>& ports) {
    for (auto at = devices_.begin(); at != devices_.end();) {
        const bool configured = plans.contains(at->first);
        if (!configured) detach(at->second);
        at = configured ? std::next(at) : devices_.erase(at);
    }
    for (const PortSetting& port : ports) {
        if (port.name != port.device) continue;
        const InterfacePlan& plan = plans.at(port.name);
        Device& device = devices_[port.name];
        device.name = port.name;
        const u32 ifindex = port.present ? port.port.ifindex : 0;
        if (device.ifindex != ifindex) {
            if (device.ifindex != 0)
                spdlog::warn("interface {}: {}", port.name, ifindex == 0 ? "gone" : "is another device now");
            detach(device);  // it may live on, by another name or in another namespace
            device.ifindex = ifindex;
        }
        if (ifindex == 0) {
            device.program_refusal = "the interface does not exist";
        } else if (program_wanted(plan) && !device.attachment) {
            attach(plan, device);
        } else if (!program_wanted(plan)) {
            detach(device);
        }
    }
}

void Tiers::attach(const InterfacePlan& plan, Device& device) {
    XdpAttachOptions options;
    options.allow_generic = !plan.require_native;
    Result<XdpAttachment> attached = xdp_->attacher().attach(device.name, device.ifindex, options);
    device.program_refusal = attached ? "" : attached.error().message;
    if (!attached) {
        spdlog::warn("interface {}: no XDP: {}", device.name, device.program_refusal);
        return;
    }
    device.attachment = std::move(*attached);
    const XdpAttachment& is = *device.attachment;
    spdlog::info("interface {}: XDP in {} mode{}{}", device.name, xdp_mode_name(is.mode),
                 is.dispatcher ? " beside others" : "", is.adopted ? ", adopted" : "");
    if (is.mode == XdpMode::generic)
        spdlog::warn("interface {}: native XDP: {}", device.name, is.native_refusal);
}

void Tiers::detach(Device& device) {
    if (device.ifindex != 0 && xdp_) {
        const Status status = xdp_->attacher().detach(device.name, device.ifindex);
        if (!status) spdlog::warn("interface {}: {}", device.name, status.error().message);
    }
    device.attachment.reset();
    device.engine = false;
}

std::vector<XskQueue> Tiers::wanted_queues(const config::Config& config, const Plans& plans,
                                           const std::vector<PortSetting>& ports) {
    std::vector<XskQueue> queues;
    for (const PortSetting& port : ports) {
        const auto device = devices_.find(port.name);
        if (port.name != port.device || device == devices_.end() || !device->second.attachment) continue;
        if (!plans.at(port.name).af_xdp || dpdk_.serves(port.name)) continue;
        const auto section = std::find_if(config.interfaces.begin(), config.interfaces.end(),
                                          [&](const auto& each) { return each.name == port.name; });
        const u32 count = std::min(section->queues.value_or(netlink::receive_queues(port.name)),
                                   XdpDataplane::queues_per_device);
        for (u32 queue = 0; queue < count; ++queue)
            queues.push_back({port.name, port.port.ifindex, port.number, queue});
    }
    return queues;
}

void Tiers::update_workers(const config::Config& config, const Plans& plans,
                           const std::vector<PortSetting>& ports) {
    PoolOptions options;
    options.queues = wanted_queues(config, plans, ports);
    for (const PortSetting& port : ports) {
        if (port.present && port.name == port.device) options.mtu[port.name] = port.port.mtu;
    }
    options.ways = ways_out(ports);
    std::erase_if(options.ways, [&](const WayOut& way) {
        return std::any_of(options.queues.begin(), options.queues.end(),
                           [&](const XskQueue& queue) { return queue.interface == way.interface; });
    });
    const bool same = same_queues(options.queues, queues_) && options.ways == ways_;
    const bool another_try = any_refused() && options.mtu != mtu_;
    if (pool_ && same && !outgrown(options.mtu, mtu_) && !another_try) return;
    stop_workers();
    ways_ = options.ways;
    queues_ = options.queues;
    mtu_ = options.mtu;
    options.workers = config.workers;
    options.fragments = config.tables.fragments;
    options.sizes = sizes_;
    options.evaluation = &evaluation_;
    options.captures = captures_;
    start_workers(std::move(options), plans);
}

Result<std::unique_ptr<WorkerPool>> Tiers::make_pool(PoolOptions options) {
    const Placement* const dpdk = dpdk_.placement();
    options.placement =
        placement_.for_sockets(options.workers, options.queues, dpdk ? dpdk->cores() : std::vector<u32>{});
    return WorkerPool::start(options, *xdp_, mirror_);
}

void Tiers::start_workers(PoolOptions options, const Plans& plans) {
    for (auto& [name, device] : devices_) {
        device.engine = false;
        device.engine_refusal.clear();
    }
    no_workers_ = options.queues.empty() ? "no interface has XDP sockets" : "";
    if (options.queues.empty()) return;
    auto pool = make_pool(options);
    if (!pool) {
        options.queues = usable(options);
        if (!options.queues.empty()) pool = make_pool(options);
    }
    if (!pool) {
        no_workers_ = pool.error().message;
        spdlog::warn("no engine: {}", no_workers_);
        return;
    }
    pool_ = std::move(*pool);
    if (tables_->image()) pool_->set_image(*tables_->image());
    for (const XskQueue& queue : options.queues) devices_[queue.interface].engine = true;
    if (Status status = pool_->run(); !status) {
        no_workers_ = status.error().message;
        spdlog::warn("no engine: {}", no_workers_);
        return stop_workers();
    }
    xdp_->node().punts = all_punts;
    placed(plans);
}

// The XDP program runs where a device's interrupts are served, so they stay spread out where it does the
// work.
void Tiers::placed(const Plans& plans) {
    for (const std::string& line : pool_->placement().lines()) spdlog::info("placement: {}", line);
    std::vector<std::string> devices;
    for (const auto& [name, plan] : plans) {
        if (plan.engine_only() && devices_[name].engine) devices.push_back(name);
    }
    interrupts_ = placement_.steer_interrupts(pool_->placement(), devices);
}

// The queues of those devices that can have sockets at all, each tried alone; the others keep the reason.
std::vector<XskQueue> Tiers::usable(const PoolOptions& options) {
    std::vector<XskQueue> good;
    for (auto& [name, device] : devices_) {
        PoolOptions alone = options;
        std::erase_if(alone.queues, [&](const XskQueue& queue) { return queue.interface != name; });
        if (alone.queues.empty()) continue;
        const auto pool = make_pool(alone);
        if (pool) {
            good.insert(good.end(), alone.queues.begin(), alone.queues.end());
        } else {
            device.engine_refusal = pool.error().message;
            spdlog::warn("interface {}: no XDP sockets: {}", name, device.engine_refusal);
        }
    }
    return good;
}

bool Tiers::any_refused() const {
    return std::any_of(devices_.begin(), devices_.end(),
                       [](const auto& each) { return !each.second.engine_refusal.empty(); });
}

void Tiers::stop_workers() {
    if (!pool_) return;
    let_program_serve(false);
    xdp_->node().punts = 0;
    interrupts_.clear();
    pool_->stop();
    history_.keep(*pool_);
    pool_.reset();
    for (auto& [name, device] : devices_) device.engine = false;
}

Status Tiers::detach_all() {
    packets_.stop();
    dpdk_.stop_workers();
    stop_workers();
    devices_.clear();
    return xdp_ ? xdp_->detach_all() : Status{};
}

}  // namespace sluice::control
