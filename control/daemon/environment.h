// SPDX-License-Identifier: Apache-2.0
//
// The configuration's interfaces as they are on this machine, out of the kernel mirror: what the compiler and
// the node's state are told of them.
#pragma once

#include <functional>
#include <vector>

#include "control/compile/environment.h"
#include "control/daemon/port_numbers.h"
#include "dataplane/io/netlink/kernel_view.h"

namespace sluice::control {

struct PortSetting {
    std::string name;
    std::string device;
    u8 number = 0;
    bool present = false;  // its device exists; else `port` says what it will be like
    bool up = false;
    node_port port{};
    std::vector<config::InterfaceAddress> addresses;
};

// `extra`: ports that are no kernel devices, as the kernel would describe them. `engine_only`: whether the
// XDP program is to leave a device's packets to the engine.
std::vector<PortSetting> port_settings(const config::Config& config, const PortNumbers& numbers,
                                       const netlink::KernelView& view,
                                       const std::vector<netlink::Link>& extra,
                                       const std::function<bool(const std::string& device)>& engine_only);

compile::Environment compile_environment(const std::vector<PortSetting>& ports, u32 generation);

// Whether the compiler would be told the same.
bool same_addresses(const std::vector<PortSetting>& a, const std::vector<PortSetting>& b);

config::Address config_address(const struct address& a);

}  // namespace sluice::control
