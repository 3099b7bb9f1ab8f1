// SPDX-License-Identifier: Apache-2.0
//
// What a DPDK device counts, without the steps that no link can have carried. Control thread only.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/io/dpdk/dpdk_statistics.h"
#include "dataplane/io/dpdk/plausible_counter.h"

namespace sluice {

class DeviceCounters {
public:
    using Named = std::vector<std::pair<std::string, u64>>;

    // `in_registers`: by a network card; what drivers of virtual devices count in memory is believed.
    void open(u16 port, bool in_registers);

    // The driver's counters of the port. `mbps`: of its link; 0: unknown, or as before.
    DpdkDeviceStatistics basic(u32 mbps);
    // All that the driver counts, by its names.
    Named extended(u32 mbps);

private:
    LinkCapacity since(u64& last, u32 mbps);

    u16 port_ = 0;
    bool in_registers_ = false;
    u32 mbps_ = 0;  // as last known
    u64 basic_at_ = 0, extended_at_ = 0;
    std::vector<PlausibleCounter> basic_;
    std::map<std::string, PlausibleCounter, std::less<>> extended_;
};

}  // namespace sluice
