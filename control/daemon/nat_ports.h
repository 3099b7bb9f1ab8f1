// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "dataplane/packet/target.h"

namespace sluice::control {

struct NatPorts {
    u16 first = 0;
    u16 count = 0;  // 0: there are none
};

// The longest run of ports from 1024 to 32767 outside the kernel's own ephemeral ports, which `local_range`
// states as /proc/sys/net/ipv4/ip_local_port_range does ("32768 60999"): a port of both would be answered by
// the wrong one. A text that says nothing reserves nothing.
NatPorts nat_ports(std::string_view local_range);

// The same with what this machine says.
NatPorts nat_ports_of_node();

}  // namespace sluice::control
