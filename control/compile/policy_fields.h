// SPDX-License-Identifier: Apache-2.0
//
// The dimensions of the policy that are tables: a row for every value of a field.
//
// What a key says about the protocol it leaves open: `ports` and `source_ports` match TCP, UDP and SCTP only,
// `tcp_flags` TCP only, `icmp_types` ICMP and ICMPv6 only. `protocol: icmp` is ICMP, `icmpv6` ICMPv6; neither
// stands for both.
#pragma once

#include <vector>

#include "control/compile/environment.h"
#include "control/compile/identities.h"
#include "control/compile/row_set.h"
#include "control/config/config.h"

namespace sluice::compile {

// Tables that no rule needs are empty.
struct PolicyFields {
    std::vector<u16> protocols;          // [4][256], see struct image_policy
    std::vector<u16> destination_ports;  // [65536]
    std::vector<u16> source_ports;
    std::vector<u16> dscp;   // [64]
    std::vector<u16> ports;  // [NODE_PORTS]: `interface` and `vlan`, as a port has one tag
    std::vector<u16> fqdn;   // [1 << FQDN_SETS]: by the sets that the destination is in
    u16 no_ports_row = 0;
    u16 no_service_row = 0;
    u16 enforced_row = 0;  // 0: no rule is in dry run
};

PolicyFields build_policy_fields(const config::Policy& policy, const Environment& environment,
                                 const Identities& ids, RowSet& rows);

// Row of the service dimension.
u16 service_row(const std::vector<config::Rule>& rules, const std::string& service, RowSet& rows);

}  // namespace sluice::compile
