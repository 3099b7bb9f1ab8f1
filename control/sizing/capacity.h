// SPDX-License-Identifier: Apache-2.0
//
// How many nodes a peak of traffic takes, from what one node was measured to carry.
#pragma once

#include <optional>
#include <string>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice::control {

struct CapacityQuestion {
    double peak_bits = 0;             // per second, at the peak, over all nodes
    double packet_bytes = 0;          // mean, as on the wire
    double node_packets = 0;          // per second: measured of one core
    u32 cores = 1;                    // that forward, on a node
    double scaling = 1;               // share of its own rate that a core has beside others
    std::optional<double> node_bits;  // per second, of a node's links; none: packets alone bound
    double load = 1;                  // share of what was measured that a node is to carry
    u32 spare = 1;                    // nodes that may fail at the peak
};

struct CapacityAnswer {
    double peak_packets = 0;  // per second
    double node_packets = 0;  // that one node is to carry
    bool links_bound = false;
    u64 needed = 0;  // nodes, all of them well
    u64 nodes = 0;   // with the spare ones
    double load_when_well = 0;
    double load_when_failed = 0;  // of the nodes that are left when the spare ones are lost
};

Result<CapacityAnswer> capacity_of(const CapacityQuestion& question);

// "100G", "2.5M", "800": decimal units of thousand.
Result<double> quantity_of(const std::string& text);

}  // namespace sluice::control
