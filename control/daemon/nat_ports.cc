// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/nat_ports.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace sluice::control {

namespace {

constexpr int lowest = 1024;
constexpr int highest = 32767;

NatPorts range(int first, int last) {
    if (last < first) return {};
    return {static_cast<u16>(first), static_cast<u16>(last - first + 1)};
}

}  // namespace

NatPorts nat_ports(std::string_view local_range) {
    std::istringstream in{std::string(local_range)};
    int low = 0;
    int high = 0;
    if (!(in >> low >> high) || low > high) return range(lowest, highest);
    const NatPorts below = range(lowest, std::min(highest, low - 1));
    const NatPorts above = range(std::max(lowest, high + 1), highest);
    return below.count >= above.count ? below : above;
}

NatPorts nat_ports_of_node() {
    std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
    std::string line;
    std::getline(file, line);
    return nat_ports(line);
}

}  // namespace sluice::control
