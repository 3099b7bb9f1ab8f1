// SPDX-License-Identifier: Apache-2.0
#include "control/sizing/sizing.h"

#include <algorithm>

namespace sluice::control {

namespace {

constexpr u64 huge_page = u64{2} << 20;
constexpr u32 ethernet_overhead = 14 + 8;  // header and two tags
constexpr u32 headroom_and_tail = 256 + 256;

u64 rounded(u64 bytes) { return (bytes + huge_page - 1) / huge_page * huge_page; }

u32 queues_of(const config::Interface& interface) {
    return interface.queues.value_or(interface.dpdk->rx_queues);
}

// One per queue of all ports, at most: a worker has frames of every port, whichever it receives on.
u32 dpdk_workers(const config::Config& config) {
    u32 sum = 0;
    for (const config::Interface& interface : config.interfaces) {
        if (interface.dpdk) sum += queues_of(interface);
    }
    return sum;
}

// A DPDK port's pool: receive rings and a transmit ring for each worker full, and for each what its engine,
// batch and pool cache hold; beside each buffer DPDK's own header and head room, and the rings.
u64 dpdk_bytes(const config::Interface& interface, u32 workers) {
    constexpr u64 transmit_ring = 1024;
    constexpr u64 held_by_worker = 1024 + 2 * 256;
    constexpr u64 host_inlet = 1024;
    constexpr u64 header = 320;
    constexpr u64 rings = u64{8} << 20;
    const u64 buffers = u64{queues_of(interface)} * interface.dpdk->rx_descriptors +
                        workers * (transmit_ring + held_by_worker) + host_inlet;
    const u32 longest = interface.mtu.value_or(1500) + ethernet_overhead;
    return buffers * (std::max(2048U, (longest + 127) / 128 * 128) + header) + rings;
}

}  // namespace

u32 buffer_bytes(u32 mtu, bool kibibytes) {
    const u32 room = kibibytes ? 1024 : 2048 - headroom_and_tail;
    return mtu + ethernet_overhead <= room ? 2048 : 4096;
}

std::vector<BufferNeed> buffer_needs(const config::Config& config,
                                     const std::function<DeviceFacts(const std::string& device)>& facts) {
    std::vector<BufferNeed> needs;
    u32 most = 0;  // buffers are of one size, that of the largest MTU
    bool kibibytes = false;
    for (const config::Interface& interface : config.interfaces) {
        if (interface.is_sub_interface()) continue;
        BufferNeed need;
        need.interface = interface.name;
        need.dpdk = interface.dpdk.has_value();
        if (need.dpdk) {
            need.node = facts(interface.dpdk->device).node;
            need.queues = queues_of(interface);
            need.bytes = rounded(dpdk_bytes(interface, dpdk_workers(config)));
        } else {
            const DeviceFacts device = facts(interface.name);
            need.node = device.node;
            need.queues = interface.queues.value_or(device.queues);
            kibibytes |= device.kibibytes;
            most = std::max(most, interface.mtu.value_or(device.mtu));
        }
        needs.push_back(std::move(need));
    }
    for (BufferNeed& need : needs) {
        if (!need.dpdk)
            need.bytes = rounded(u64{need.queues} * frames_per_queue * buffer_bytes(most, kibibytes));
    }
    return needs;
}

std::vector<HugePageNeed> by_node(const std::vector<BufferNeed>& needs, u32 fallback) {
    std::vector<HugePageNeed> nodes;
    for (const BufferNeed& need : needs) {
        const u32 node = need.node.value_or(fallback);
        const auto at = std::find_if(nodes.begin(), nodes.end(),
                                     [&](const HugePageNeed& each) { return each.node == node; });
        if (at == nodes.end())
            nodes.push_back({node, need.bytes});
        else
            at->bytes += need.bytes;
    }
    return nodes;
}

}  // namespace sluice::control
