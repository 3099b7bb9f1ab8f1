// SPDX-License-Identifier: Apache-2.0
//
// How much memory for packet buffers a configuration comes to, and therefore how many huge pages serve it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "dataplane/packet/target.h"
#include "dataplane/placement/huge_pages.h"

namespace sluice::control {

// Buffers of one queue of an interface that XDP sockets serve.
constexpr u32 frames_per_queue = 4096;

// Of a packet buffer, 2048 or 4096 bytes: for frames of this MTU with two VLAN tags and the room around them.
// `kibibytes`: a device rounds what is left of it down to whole KiB.
u32 buffer_bytes(u32 mtu, bool kibibytes);

// What this machine says of an interface.
struct DeviceFacts {
    std::optional<u32> node;
    u32 queues = 1;
    u32 mtu = 1500;
    bool kibibytes = false;  // rounds its receive buffers down
};

struct BufferNeed {
    std::string interface;
    bool dpdk = false;
    std::optional<u32> node;
    u32 queues = 0;
    u64 bytes = 0;  // a multiple of 2 MiB
};

// A line per interface. `facts` is asked for each by its name, for a DPDK port by its device
// ("0000:3b:00.0"), of which only the node counts.
std::vector<BufferNeed> buffer_needs(const config::Config& config,
                                     const std::function<DeviceFacts(const std::string& device)>& facts);

// By node, those without one with `fallback`'s.
std::vector<HugePageNeed> by_node(const std::vector<BufferNeed>& needs, u32 fallback);

}  // namespace sluice::control
