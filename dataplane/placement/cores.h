// SPDX-License-Identifier: Apache-2.0
//
// The first step of a placement: which cores workers may have. For planner.cc.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "dataplane/placement/planner.h"

namespace sluice {

// Ascending. Those configured, as far as they can be used; else one CPU of each core that this process may
// use: the isolated ones where there are some, or all but one that is left to the system. `wanted_nodes` are
// those with ports: the system's core is not a node's only one if that can be helped. What is left out is
// said in `notes`.
std::vector<Cpu> worker_cores(const Topology& topology, const PlacementRequest& request,
                              const std::set<u32>& wanted_nodes, std::vector<std::string>& notes);

}  // namespace sluice
