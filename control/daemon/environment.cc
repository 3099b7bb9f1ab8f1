// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/environment.h"

#include <algorithm>

#include "control/compile/prefix.h"

namespace sluice::control {

namespace {

using netlink::KernelView;
using netlink::Link;

bool is_link_local(const config::Address& a) { return a.bytes[0] == 0xfe && (a.bytes[1] & 0xc0) == 0x80; }

// The kernel's interface for a logical one: the device, or the kernel's VLAN device on it; nullptr: there is
// none.
const Link* kernel_interface(const KernelView& view, const Link& device, u16 vlan) {
    if (vlan == 0) return &device;
    for (const Link& link : view.data().links) {
        if (link.parent == device.ifindex && link.vlan == vlan) return &link;
    }
    return nullptr;
}

std::vector<config::InterfaceAddress> kernel_addresses(const KernelView& view, const Link* link) {
    std::vector<config::InterfaceAddress> addresses;
    if (link == nullptr) return addresses;
    for (const netlink::OwnAddress& own : view.data().addresses) {
        if (own.ifindex == link->ifindex) addresses.push_back({config_address(own.value()), own.length});
    }
    return addresses;
}

const Link* find_link(const std::vector<Link>& links, const std::string& name) {
    const auto at =
        std::find_if(links.begin(), links.end(), [&](const Link& link) { return link.name == name; });
    return at == links.end() ? nullptr : &*at;
}

// The first of each family is the source of what we send ourselves; a link-local one only where there is no
// other.
void set_own_addresses(const std::vector<config::InterfaceAddress>& addresses, node_port& port) {
    bool link_local = true;
    for (const config::InterfaceAddress& own : addresses) {
        const struct address value = compile::to_address(own.address);
        if (own.address.is_v4()) {
            if (port.address4.raw == 0) port.address4 = address_to_ipv4(&value);
        } else if (link_local &&
                   !(is_link_local(own.address) && (port.address6.word[0] | port.address6.word[1]) != 0)) {
            port.address6 = value;
            link_local = is_link_local(own.address);
        }
    }
}

void set_from_link(const Link& device, const Link& link, const LogicalInterface& from, PortSetting& setting) {
    const auto& settings = from.settings != nullptr ? *from.settings : *from.parent;
    const auto mac = settings.mac ? settings.mac : from.parent->mac;
    if (mac) {
        std::copy(mac->bytes.begin(), mac->bytes.end(), setting.port.mac);
    } else {
        std::copy(link.mac.begin(), link.mac.end(), setting.port.mac);
    }
    const u32 mtu = settings.mtu.value_or(from.parent->mtu.value_or(link.mtu));
    setting.port.mtu = static_cast<u16>(std::min(mtu, 65535U));
    setting.port.ifindex = device.ifindex;
    if (device.veth) setting.port.flags |= PORT_REDIRECT;
    setting.present = true;
    setting.up = device.up;
}

}  // namespace

config::Address config_address(const struct address& a) {
    config::Address out;
    std::memcpy(out.bytes.data(), a.word, out.bytes.size());
    return out;
}

std::vector<PortSetting> port_settings(const config::Config& config, const PortNumbers& numbers,
                                       const KernelView& view, const std::vector<Link>& extra,
                                       const std::function<bool(const std::string& device)>& engine_only) {
    std::vector<PortSetting> ports;
    for (const LogicalInterface& from : logical_interfaces(config)) {
        PortSetting setting;
        setting.name = from.name;
        setting.device = from.device;
        setting.number = numbers.at(from.name);
        setting.port.vlan = from.vlan;
        setting.port.device = numbers.at(from.device);
        const bool promiscuous =
            from.parent->promiscuous || (from.settings != nullptr && from.settings->promiscuous);
        if (promiscuous) setting.port.flags |= PORT_PROMISCUOUS;
        if (engine_only(from.device)) setting.port.flags |= PORT_ENGINE;
        const Link* device = view.link(from.device);
        if (device == nullptr) device = find_link(extra, from.device);
        const Link* link = device != nullptr ? kernel_interface(view, *device, from.vlan) : nullptr;
        if (device != nullptr) set_from_link(*device, link != nullptr ? *link : *device, from, setting);
        const bool configured = from.settings != nullptr && from.settings->addresses;
        setting.addresses = configured ? *from.settings->addresses : kernel_addresses(view, link);
        set_own_addresses(setting.addresses, setting.port);
        ports.push_back(std::move(setting));
    }
    return ports;
}

compile::Environment compile_environment(const std::vector<PortSetting>& ports, u32 generation) {
    compile::Environment environment;
    environment.generation = generation;
    for (const PortSetting& port : ports) {
        compile::LogicalPort logical{port.name, port.number, port.port.vlan, {}};
        for (const config::InterfaceAddress& own : port.addresses) logical.addresses.push_back(own.address);
        environment.ports.push_back(std::move(logical));
    }
    return environment;
}

bool same_addresses(const std::vector<PortSetting>& a, const std::vector<PortSetting>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const PortSetting& x, const PortSetting& y) {
        return x.name == y.name && x.number == y.number && x.addresses == y.addresses;
    });
}

}  // namespace sluice::control
