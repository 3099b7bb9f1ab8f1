// SPDX-License-Identifier: Apache-2.0
//
// What is known of every destination prefix: VIPs, managed prefixes, own addresses, tunnel endpoints, the
// policy's `to`.
#pragma once

#include "control/compile/environment.h"
#include "control/compile/identities.h"
#include "control/compile/lpm_builder.h"
#include "control/compile/policy_prefixes.h"
#include "control/compile/vip_ports.h"

namespace sluice::compile {

// Attributes of one destination. A longer prefix has those of the shorter ones around it, and its own.
struct Destination {
    u32 policy = 0;  // PolicyPrefixes' state while prefixes are joined, then its row
    u32 ports = VipPorts::none;
    u8 flags = 0;   // destination_flags
    u8 tunnel = 0;  // tunnel_type
    auto operator<=>(const Destination&) const = default;
};

struct Destinations {
    LpmTable lpm;                      // to an index of `records`
    std::vector<Destination> records;  // 0: what nothing covers
    VipPorts ports;

    // Line of the records.
    u32 write(ImageWriter& writer) const;
};

Result<Destinations> build_destinations(const config::Config& config, const Environment& environment,
                                        const Identities& ids, PolicyPrefixes& policy);

}  // namespace sluice::compile
