// SPDX-License-Identifier: Apache-2.0
//
// Which tiers are to serve an interface, before any of them is tried: what file and flags say, what this
// release has, and what `require:` rules out.
#pragma once

#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/config/flags.h"
#include "dataplane/base/result.h"
#include "dataplane/io/af_xdp/xsk_options.h"

namespace sluice::control {

struct TierPlan {
    config::Tier tier;
    config::Decision decision;
    bool wanted = false;
    std::string why_not;  // of a tier that is not wanted
};

struct InterfacePlan {
    std::string name;
    bool dpdk = false;    // a DPDK driver owns the device; the others are its fallback
    bool xdp = false;     // the XDP program serves packets
    bool af_xdp = false;  // XDP sockets hand packets to the engine
    bool require_native = false;
    bool require_af_xdp = false;
    bool require_dpdk = false;
    ZeroCopy zero_copy = ZeroCopy::automatic;
    bool packets = false;         // packet sockets may serve, where none of the others does
    std::vector<TierPlan> tiers;  // in the order to try

    bool dpdk_behind_program = false;      // by net_af_xdp: the XDP program hands over to it
    std::optional<config::Tier> moved_to;  // by `sluicectl tier set`; its section has been changed to that

    // Whether any tier of the plan may come to need the program.
    bool needs_program() const { return program() || (dpdk && dpdk_behind_program); }
    // The program is on the interface in either case: without the XDP tier it only hands over.
    bool program() const { return xdp || af_xdp; }
    bool engine_only() const { return af_xdp && !xdp; }
};

std::string_view tier_name(config::Tier tier);

// Whether anything that an interface receives may be the engine's: services that packets are forwarded for,
// managed prefixes, tunnels. What is the proxy's alone comes by the host's stack anyway.
bool claims_packets(const config::Config& config);

// `interface` is a device's section; `moved_to` as in the plan. Fails when `require:` asks for what is
// switched off, and when flags keep the interface from being served by what it was moved to.
Result<InterfacePlan> plan_interface(const config::Interface& interface, const config::TierFlags& flags,
                                     std::optional<config::Tier> moved_to = std::nullopt);

}  // namespace sluice::control
