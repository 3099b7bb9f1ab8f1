// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/tiers.h"

#include <algorithm>
#include <filesystem>

#include "dataplane/base/log.h"
#include "dataplane/io/netlink/device_queues.h"

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
        std::any_of(plans.begin(), plans.end(), [](const auto& each) { return each.second.program(); });
    std::error_code ignored;
    if (!wanted && !std::filesystem::exists(config.state.bpffs, ignored)) return {};
    sizes_ = MapSizes::rounded(config.tables.flows, config.tables.sources, config.tables.backends,
                               POLICY_MAX_WORDS * 64);
    auto opened = XdpDataplane::open({config.state.bpffs, sizes_, true});
    if (!opened) {
        open_refusal_ = opened.error().message;
        spdlog::warn("XDP cannot be had: {}", open_refusal_);
        return check_requirements(plans);
    }
    if (wanted) {
        xdp_ = std::move(*opened);
        xdp_->node().punts = 0;  // nobody takes what is handed over, until workers run
        image_ = xdp_->maps().image();
        return {};
    }
    spdlog::info("an earlier daemon's program is taken off: no interface wants it");
    return (*opened)->detach_all();
}

Status Tiers::set_ports(const std::vector<PortSetting>& ports) {
    if (!xdp_) return {};
    std::vector<u8> used;
    for (const PortSetting& port : ports) {
        if (port.present) used.push_back(port.number);
    }
    for (u8 number = 1; number < NODE_PORTS; ++number) {
        if (std::find(used.begin(), used.end(), number) != used.end()) continue;
        if (xdp_->node().ports[number].ifindex == 0) continue;
        if (Status status = xdp_->clear_port(number); !status) return status;
    }
    for (const PortSetting& port : ports) {
        if (!port.present) continue;
        if (Status status = xdp_->set_port(port.number, port.port); !status)
            return std::move(status).with_context("interface " + port.name);
    }
    return {};
}

Status Tiers::publish(const compile::Snapshot& snapshot) {
    if (!xdp_) return {};
    std::copy(snapshot.timeouts.begin(), snapshot.timeouts.end(), xdp_->node().timeout);
    auto image = xdp_->publish(snapshot.lines, snapshot.generation, snapshot.interests.destination,
                               snapshot.interests.source, [this](const Image& next) {
                                   if (pool_) pool_->set_image(next);
                               });
    if (!image) return image.error();
    image_ = std::move(*image);
    return {};
}

Status Tiers::bring_up(const config::Config& config, const Plans& plans,
                       const std::vector<PortSetting>& ports) {
    if (!xdp_) return {};
    update_devices(plans, ports);
    update_workers(config, plans, ports);
    for (auto& [name, device] : devices_) {
        const auto plan = plans.find(name);
        if (plan == plans.end() || !plan->second.engine_only() || device.engine || !device.attachment)
            continue;
        spdlog::warn("interface {}: its packets pass to the host: no engine takes them", name);
        detach(device);
    }
    return check_requirements(plans);
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
            device.attachment.reset();  // went with the device
            device.engine = false;
            device.ifindex = ifindex;
        }
        if (ifindex == 0) {
            device.program_refusal = "the interface does not exist";
        } else if (plan.program() && !device.attachment) {
            attach(plan, port, device);
        } else if (!plan.program()) {
            detach(device);
        }
    }
}

void Tiers::attach(const InterfacePlan& plan, const PortSetting& port, Device& device) {
    XdpAttachOptions options;
    options.allow_generic = !plan.require_native;
    Result<XdpAttachment> attached = xdp_->attacher().attach(port.name, port.port.ifindex, options);
    device.program_refusal = attached ? "" : attached.error().message;
    if (!attached) {
        spdlog::warn("interface {}: no XDP: {}", port.name, device.program_refusal);
        return;
    }
    device.attachment = std::move(*attached);
    const XdpAttachment& is = *device.attachment;
    spdlog::info("interface {}: XDP in {} mode{}{}", port.name, xdp_mode_name(is.mode),
                 is.dispatcher ? " beside others" : "", is.adopted ? ", adopted" : "");
    if (is.mode == XdpMode::generic)
        spdlog::warn("interface {}: native XDP: {}", port.name, is.native_refusal);
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
        if (!plans.at(port.name).af_xdp) continue;
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
    if (pool_ && same_queues(options.queues, queues_) && !outgrown(options.mtu, mtu_)) return;
    stop_workers();
    queues_ = options.queues;
    mtu_ = options.mtu;
    options.workers = config.workers;
    options.fragments = config.tables.fragments;
    options.sizes = sizes_;
    for (const auto& [name, plan] : plans) {
        if (plan.zero_copy == ZeroCopy::require) options.zero_copy = ZeroCopy::require;
    }
    start_workers(std::move(options));
}

void Tiers::start_workers(PoolOptions options) {
    for (auto& [name, device] : devices_) {
        device.engine = false;
        device.engine_refusal.clear();
    }
    no_workers_ = options.queues.empty() ? "no interface has XDP sockets" : "";
    if (options.queues.empty()) return;
    auto pool = WorkerPool::start(options, *xdp_, mirror_);
    if (!pool) {
        options.queues = usable(options);
        if (!options.queues.empty()) pool = WorkerPool::start(options, *xdp_, mirror_);
    }
    if (!pool) {
        no_workers_ = pool.error().message;
        spdlog::warn("no engine: {}", no_workers_);
        return;
    }
    pool_ = std::move(*pool);
    if (image_) pool_->set_image(*image_);
    for (const XskQueue& queue : options.queues) devices_[queue.interface].engine = true;
    if (Status status = pool_->run(); !status) {
        no_workers_ = status.error().message;
        spdlog::warn("no engine: {}", no_workers_);
        return stop_workers();
    }
    xdp_->node().punts = all_punts;
}

// The queues of those devices that can have sockets at all, each tried alone; the others keep the reason.
std::vector<XskQueue> Tiers::usable(const PoolOptions& options) {
    std::vector<XskQueue> good;
    for (auto& [name, device] : devices_) {
        PoolOptions alone = options;
        std::erase_if(alone.queues, [&](const XskQueue& queue) { return queue.interface != name; });
        if (alone.queues.empty()) continue;
        const auto pool = WorkerPool::start(alone, *xdp_, mirror_);
        if (pool) {
            good.insert(good.end(), alone.queues.begin(), alone.queues.end());
        } else {
            device.engine_refusal = pool.error().message;
            spdlog::warn("interface {}: no XDP sockets: {}", name, device.engine_refusal);
        }
    }
    return good;
}

void Tiers::stop_workers() {
    if (!pool_) return;
    xdp_->node().punts = 0;
    pool_.reset();
    for (auto& [name, device] : devices_) device.engine = false;
}

Status Tiers::detach_all() {
    stop_workers();
    devices_.clear();
    return xdp_ ? xdp_->detach_all() : Status{};
}

}  // namespace sluice::control
