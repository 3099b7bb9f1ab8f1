// SPDX-License-Identifier: Apache-2.0
//
// An interface on its way from one tier to another. The XDP program stays in front of it all the time, or
// until packet sockets have taken its place, and there is one flow table: so whenever an engine pauses, the
// program forwards by the same flows itself, and no packet meets the host's stack, which would answer what it
// does not know.
#include <algorithm>

#include "control/daemon/tiers.h"
#include "dataplane/base/log.h"
#include "dataplane/io/netlink/device_queues.h"

namespace sluice::control {

void Tiers::set_devices(const config::Config& config, const Plans& plans) {
    if (!tables_) return;
    // net_af_xdp: our program is in front before its sockets are there, and no other socket is on its queues.
    for (const config::Interface& interface : config.interfaces) {
        const auto plan = plans.find(interface.name);
        if (plan == plans.end() || !plan->second.dpdk || !plan->second.dpdk_behind_program || !xdp_) continue;
        if (!dpdk_.would_open(interface)) continue;
        Device& device = devices_[interface.name];
        const netlink::Link* link = mirror_.view().link(interface.name);
        device.name = interface.name;
        device.ifindex = link != nullptr ? link->ifindex : 0;
        if (device.engine) stop_workers();
        if (device.ifindex != 0 && !device.attachment) attach(plan->second, device);
    }
    dpdk_.set_devices(config, plans);
    packets_.forget_refusals();
}

bool Tiers::engine_runs(const std::string& device) const {
    if (dpdk_.serves(device)) return dpdk_.running();
    const Device* const known = find(device);
    return pool_ != nullptr && known != nullptr && known->engine;
}

// The workers of DPDK, or those of the sockets, are about to stop: meanwhile the program forwards by the same
// flows itself.
void Tiers::let_program_serve(bool dpdk) {
    if (!xdp_) return;
    for (const PortSetting& port : ports_) {
        if (!port.present || (port.port.flags & PORT_ENGINE) == 0 || dpdk_.serves(port.device) != dpdk)
            continue;
        node_port value = port.port;
        value.flags &= static_cast<u8>(~PORT_ENGINE);
        const Status status = tables_->set_port(port.number, value);
        if (!status) spdlog::warn("interface {}: {}", port.name, status.error().message);
    }
}

void Tiers::hand_over_to_engines(const std::vector<PortSetting>& ports) {
    for (const PortSetting& port : ports) {
        if (!port.present || (port.port.flags & PORT_ENGINE) == 0 || !engine_runs(port.device)) continue;
        if (node().ports[port.number].flags == port.port.flags) continue;
        const Status status = tables_->set_port(port.number, port.port);
        if (!status) spdlog::warn("interface {}: {}", port.name, status.error().message);
    }
}

// Whether an engine on packet sockets is to have the device's packets: no program is on it, nor will be.
bool Tiers::packets_wanted(const config::Config& config, const InterfacePlan& plan) const {
    if (plan.name == withheld_ || !plan.packets || !claims_packets(config) || dpdk_.serves(plan.name))
        return false;
    const Device* const known = find(plan.name);
    return !program_wanted(plan) || known == nullptr || !known->attachment;
}

// They are there before a program goes, and until one has come: what it passes meanwhile they pass as well.
// `program_is_due`: programs have not been attached yet.
void Tiers::update_packets(const config::Config& config, const Plans& plans,
                           const std::vector<PortSetting>& ports, bool program_is_due) {
    std::vector<PacketDevice> devices;
    for (const WayOut& way : ways_out(ports)) {
        const InterfacePlan& plan = plans.at(way.interface);
        const bool due = program_is_due && program_wanted(plan);
        if (due ? !packets_.serves(way.interface) : !packets_wanted(config, plan)) continue;
        const auto section = std::find_if(config.interfaces.begin(), config.interfaces.end(),
                                          [&](const auto& each) { return each.name == way.interface; });
        const u32 rings = section->queues.value_or(netlink::receive_queues(way.interface));
        devices.push_back({way.interface, way.ifindex, way.device, way.mtu, rings});
    }
    packets_.set(*tables_, devices, engine_workers(config, ports));
}

// Devices of the kernel's that are ports.
std::vector<WayOut> Tiers::ways_out(const std::vector<PortSetting>& ports) const {
    std::vector<WayOut> ways;
    for (const PortSetting& port : ports) {
        if (port.present && port.name == port.device && port.port.ifindex < NODE_MADE_UP)
            ways.push_back({port.name, port.port.ifindex, port.number, port.port.mtu});
    }
    return ways;
}

}  // namespace sluice::control
