// SPDX-License-Identifier: Apache-2.0
//
// How a worker's frames leave by an interface that it has no port on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/log.h"
#include "dataplane/io/packet_socket/packet_egress.h"

namespace sluice::control {

struct WayOut {
    std::string interface;
    u32 ifindex = 0;
    u8 device = 0;  // port number
    u32 mtu = 1500;
    bool operator==(const WayOut&) const = default;
};

// A packet socket for each, given to the worker, which must go first. One that cannot be had is logged:
// frames for it drop as other_tier.
template <typename Worker>
std::vector<std::unique_ptr<PacketEgress>> open_ways(const std::vector<WayOut>& ways, Worker& worker) {
    constexpr u32 ethernet_room = 22;  // Ethernet header and two VLAN tags
    std::vector<std::unique_ptr<PacketEgress>> open;
    for (const WayOut& way : ways) {
        auto egress = PacketEgress::open(way.interface, way.ifindex, way.mtu + ethernet_room);
        if (!egress) {
            spdlog::warn("{}", egress.error().message);
            continue;
        }
        worker.add_way(**egress, way.device);
        open.push_back(*std::move(egress));
    }
    return open;
}

}  // namespace sluice::control
