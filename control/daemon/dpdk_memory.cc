// SPDX-License-Identifier: Apache-2.0
//
// Where the DPDK tier's buffers lie.
#include <algorithm>

#include "control/daemon/dpdk_state.h"
#include "dataplane/placement/memory_scope.h"

namespace sluice::control {

std::vector<u32> percent_by_node(const DpdkDevice& device) {
    std::vector<u64> pages;
    u64 all = 0;
    for (const auto& area : device.buffer_areas()) {
        const std::vector<u64> here = pages_by_node(area.data(), area.size());
        pages.resize(std::max(pages.size(), here.size()));
        for (size_t node = 0; node < here.size(); ++node) {
            pages[node] += here[node];
            all += here[node];
        }
    }
    std::vector<u32> percent;
    for (const u64 count : pages) percent.push_back(all == 0 ? 0 : static_cast<u32>(count * 100 / all));
    return percent;
}

std::string DpdkTier::State::elsewhere(const DpdkDevice& device) const {
    std::string said = device.elsewhere();
    const std::vector<u32> percent = percent_by_node(device);
    const auto wished = device.options().memory_node;
    if (said.empty() || percent.empty() || !wished) return said;
    const auto node = static_cast<u32>(std::max_element(percent.begin(), percent.end()) - percent.begin());
    said += fmt::format(": they lie on node {}", node);
    const auto distance = node_placement.distance(*wished, node);
    return distance ? fmt::format("{}, distance {} (10 is local)", said, *distance) : said;
}

}  // namespace sluice::control
