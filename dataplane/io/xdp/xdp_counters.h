// SPDX-License-Identifier: Apache-2.0
//
// The program's counters, summed over CPUs. A snapshot is not taken at one instant: counters of packets in
// flight may lag behind one another by those packets.
#pragma once

#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/tables/counters.h"

namespace sluice {

class XdpMaps;

// Indexed by port number (NODE_PORTS of them), backend id and rule id.
Result<std::vector<port_counters>> read_port_counters(const XdpMaps& maps);
Result<std::vector<backend_counters>> read_backend_counters(const XdpMaps& maps, u32 count);
Result<std::vector<pair_counters>> read_rule_counters(const XdpMaps& maps, u32 count);
Result<worker_counters> read_cpu_counters(const XdpMaps& maps);

}  // namespace sluice
