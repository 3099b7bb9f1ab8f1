// SPDX-License-Identifier: Apache-2.0
//
// What the kernel says of a network device, for `sluicectl probe`. Nothing here changes the device but
// try_zero_copy(), which is asked for apart.
#pragma once

#include <optional>
#include <string>

#include "dataplane/base/result.h"

namespace sluice::ctl {

// Bits of the netdev family's `xdp-features` (kernel 6.3), Documentation/netlink/specs/netdev.yaml.
struct XdpFeatures {
    bool basic = false;      // programs in the driver
    bool redirect = false;   // out of it
    bool receives = false;   // of redirected frames
    bool zero_copy = false;  // XDP sockets
    bool fragments = false;  // frames of several buffers
    bool hardware = false;   // programs in the device
};

struct Offload {
    bool known = false;
    bool on = false;
};

struct DeviceFacts {
    unsigned index = 0;
    bool up = false;
    unsigned mtu = 0;
    std::string driver;  // empty: the device names none
    std::string firmware;
    std::optional<XdpFeatures> features;  // empty: the kernel does not say (before 6.3)
    Offload tx_checksum, rx_checksum, tso, gso, gro, lro;
};

// Error: there is no such interface.
Result<DeviceFacts> device_facts(const std::string& interface);

// Opens a zero-copy XDP socket on `queue` and closes it again. No program is attached and no frame taken, but
// a driver may stop the queue for a moment.
Status try_zero_copy(const std::string& interface, unsigned queue);

}  // namespace sluice::ctl
