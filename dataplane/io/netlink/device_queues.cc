// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/netlink/device_queues.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "dataplane/base/fd.h"

namespace sluice::netlink {

// By ethtool's ioctl and not out of /sys, which may show another network namespace's devices.
u32 receive_queues(const std::string& interface) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ethtool_channels channels{};
    channels.cmd = ETHTOOL_GCHANNELS;
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&channels);
    if (!socket || ioctl(socket.get(), SIOCETHTOOL, &request) != 0) return 1;
    return std::max(channels.rx_count + channels.combined_count, 1U);
}

namespace {

ethtool_drvinfo driver_info(const std::string& interface) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&info);
    if (!socket || ioctl(socket.get(), SIOCETHTOOL, &request) != 0) return {};
    return info;
}

}  // namespace

std::string bus_address(const std::string& interface) {
    const ethtool_drvinfo info = driver_info(interface);
    return {info.bus_info, strnlen(info.bus_info, sizeof info.bus_info)};
}

bool receives_in_kibibytes(const std::string& interface) {
    const ethtool_drvinfo info = driver_info(interface);
    const std::string_view driver(info.driver, strnlen(info.driver, sizeof info.driver));
    return driver == "igb" || driver == "igc" || driver == "ixgbe";
}

}  // namespace sluice::netlink
