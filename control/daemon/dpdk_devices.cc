// SPDX-License-Identifier: Apache-2.0
//
// The part of the DPDK tier that opens and closes devices.
#include <algorithm>
#include <cerrno>
#include <thread>

#include "control/compile/prefix.h"
#include "control/daemon/dpdk_state.h"
#include "dataplane/base/log.h"
#include "dataplane/io/dpdk/eal.h"
#include "dataplane/io/dpdk/program_guard.h"
#include "dataplane/io/netlink/device_queues.h"
#include "dataplane/io/pci/pci_address.h"

namespace sluice::control {

namespace {

constexpr const char* af_xdp_driver = "net_af_xdp";

constexpr int busy_tries = 50;
constexpr auto busy_pause = std::chrono::milliseconds(10);

bool is_busy(const Error& error) { return error.code == EBUSY; }

bool is_af_xdp(const std::string& device) { return device.starts_with(af_xdp_driver); }

u32 queues_of(const config::Interface& interface) {
    return interface.queues.value_or(interface.dpdk->rx_queues);
}

// The kernel's interface that a virtual device stands on ("net_af_xdp0,iface=eth1"); empty: on none.
std::string kernel_interface_of(const std::string& device) {
    constexpr std::string_view key = ",iface=";
    const size_t at = device.find(key);
    if (at == std::string::npos || device.starts_with("net_tap")) return "";
    const size_t begin = at + key.size();
    return device.substr(begin, device.find(',', begin) - begin);
}

DpdkWish wish_of(const config::Interface& interface) {
    return {*interface.dpdk, interface.queues, interface.mtu, interface.promiscuous, interface.addresses};
}

}  // namespace

std::optional<u32> DpdkTier::State::node_of(const config::Interface& interface) const {
    const std::string& device = interface.dpdk->device;
    const std::string below = kernel_interface_of(device);
    if (!below.empty()) return node_placement.node_of(below);
    const std::string address = pci_address(device);
    return address.empty() ? std::nullopt : node_placement.node_of_pci(address);
}

// By what the configuration says of the devices, which are not open yet.
Placement DpdkTier::State::expected_placement(const config::Config& config, const Plans& plans) const {
    std::vector<PlacedPort> ports;
    for (const config::Interface& interface : config.interfaces) {
        const auto plan = plans.find(interface.name);
        if (interface.dpdk && plan != plans.end() && plan->second.dpdk)
            ports.push_back({interface.name, node_of(interface), queues_of(interface)});
    }
    return node_placement.for_receivers(config.workers, std::move(ports));
}

// Its buffers lie on its own node, where it has one, else on that of the worker of its first queue.
DpdkDeviceOptions DpdkTier::State::options_of(const config::Interface& interface,
                                              const Placement& expected) const {
    DpdkDeviceOptions options;
    options.interface = interface.name;
    options.device = interface.dpdk->device;
    options.rx_queues = static_cast<u16>(queues_of(interface));
    options.rx_descriptors = static_cast<u16>(interface.dpdk->rx_descriptors);
    options.workers = static_cast<u16>(expected.plan.workers.size());
    options.promiscuous = interface.promiscuous;
    if (interface.mtu) options.mtu = static_cast<u16>(*interface.mtu);
    const u32 worker = expected.worker_of(interface.name, 0);
    if (expected.plan.numa) options.memory_node = node_of(interface);
    if (!options.memory_node && worker < expected.plan.workers.size())
        options.memory_node = expected.plan.workers[worker].memory_node;
    return options;
}

// With room for all that is configured: without huge pages it cannot grow later.
Status DpdkTier::State::start_eal(const config::Config& config, const Plans& plans,
                                  const Placement& expected) {
    EalOptions options;
    for (const config::Interface& interface : config.interfaces) {
        const auto plan = plans.find(interface.name);
        if (plan != plans.end() && plan->second.dpdk) {
            options.memory += DpdkDevice::memory(options_of(interface, expected));
        } else if (!interface.is_sub_interface()) {  // it may be moved here later on
            DpdkDeviceOptions later;
            later.rx_queues = static_cast<u16>(netlink::receive_queues(interface.name));
            later.workers = static_cast<u16>(expected.plan.workers.size());
            options.later += DpdkDevice::memory(later);
        }
    }
    const bool first = !Eal::running();
    Status status = Eal::start(options);
    if (first && status && !Eal::shortcoming().empty()) spdlog::warn("dpdk: {}", Eal::shortcoming());
    return status;
}

Status DpdkTier::State::open_device(OpenDpdkDevice& device, DpdkDeviceOptions options) {
    if (is_af_xdp(options.device)) {
        const std::string below = kernel_interface_of(options.device);
        if (below != options.interface)
            return make_error("interface {}: device {}: iface={}: expected {}, the interface's own name",
                              options.interface, options.device, below, options.interface);
        auto stand_in = StandIn::create();
        if (!stand_in) return stand_in.error();
        device.stand_in = std::move(*stand_in);
        options.device += fmt::format(",xdp_prog={}", device.stand_in->path());
        options.guarded = options.ifindex;
    }
    const u64 kept = ProgramGuard::kept();
    auto opened = DpdkDevice::open(options);
    // The kernel lets go of a closed socket's queue a moment later.
    for (int i = 0; !opened && device.stand_in && is_busy(opened.error()) && i < busy_tries; ++i) {
        std::this_thread::sleep_for(busy_pause);
        const Eal::Quiet quiet;
        opened = DpdkDevice::open(options);
    }
    if (!opened) return opened.error();
    if (device.stand_in && ProgramGuard::kept() == kept)
        return make_error("interface {}: device {}: its driver attaches a program past ours",
                          options.interface, options.device);
    device.device = std::move(*opened);
    return {};
}

void DpdkTier::State::open_host_path(OpenDpdkDevice& device, const config::Interface& interface) {
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

OpenDpdkDevice DpdkTier::State::open(const config::Interface& interface, const Placement& expected,
                                     u32 made_up) {
    OpenDpdkDevice device;
    device.wish = wish_of(interface);
    device.node = node_of(interface);
    DpdkDeviceOptions options = options_of(interface, expected);
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
    spdlog::info("interface {}: DPDK port {} ({}), {} receive and {} transmit queues, MTU {}, {}",
                 interface.name, interface.dpdk->device, port.driver(), port.rx_queues(), port.tx_queues(),
                 port.mtu(),
                 port.symmetric_rss()   ? "symmetric RSS"
                 : port.rx_queues() > 1 ? "no RSS that we can key: flows are found across workers"
                                        : "one queue");
    device.elsewhere = elsewhere(port);
    if (!device.elsewhere.empty()) spdlog::warn("interface {}: {}", interface.name, device.elsewhere);
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

bool DpdkTier::would_open(const config::Interface& interface) const {
    const auto known = state_->devices.find(interface.name);
    return interface.dpdk && (known == state_->devices.end() || known->second.wish != wish_of(interface));
}

void DpdkTier::forget_refusal(const std::string& interface) {
    const auto known = state_->devices.find(interface);
    if (known != state_->devices.end() && !known->second.device) state_->devices.erase(known);
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
        if (would_open(interface)) changed[interface.name] = &interface;
    }
    const bool some_go = std::any_of(s.devices.begin(), s.devices.end(),
                                     [&](const auto& each) { return !wanted(each.first); });
    if (changed.empty() && !some_go) return;
    stop_workers();
    std::erase_if(s.devices,
                  [&](const auto& each) { return !wanted(each.first) || changed.contains(each.first); });
    if (changed.empty()) return;
    // The mirror may still have the exception devices that have just gone, under the interfaces' names.
    if (const Status status = s.mirror.ask_now(); !status) spdlog::warn("{}", status.error().message);
    const Placement expected = s.expected_placement(config, plans);
    const Status eal = s.start_eal(config, plans, expected);
    for (const auto& [name, interface] : changed) {
        if (eal) {
            s.devices[name] = s.open(*interface, expected, s.made_up());
            if (!s.devices[name].device) spdlog::warn("{}", s.devices[name].refusal);
        } else {
            OpenDpdkDevice refused;
            refused.wish = wish_of(*interface);
            refused.refusal = eal.error().message;
            s.devices[name] = std::move(refused);
        }
    }
}

}  // namespace sluice::control
