// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "control/config/address.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice::control {

// A packet that might come: the first of a connection.
struct ProbeFrame {
    u8 protocol = 6;  // tcp, udp, sctp, icmp or icmpv6: an echo request
    config::Endpoint source;
    config::Endpoint destination;
    std::array<u8, 6> station{};  // MAC it is addressed to
    u16 vlan = 0;
};

// "tcp", "10.0.0.2:4242", "192.0.2.10:80"; for icmp addresses alone will do.
Result<ProbeFrame> parse_probe(const std::string& protocol, const std::string& source,
                               const std::string& destination);

// From the Ethernet header on. Transport checksums are not set: nothing here looks at them.
std::vector<u8> frame_of(const ProbeFrame& probe);

}  // namespace sluice::control
