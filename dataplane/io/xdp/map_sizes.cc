// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/map_sizes.h"

#include <algorithm>
#include <bit>

namespace sluice {

MapSizes MapSizes::rounded(u32 flows, u32 source_meters, u32 backends, u32 rules) {
    constexpr u32 most = 1u << 30;
    return {.flows = std::bit_ceil(std::clamp<u32>(flows, FLOW_BUCKET_SLOTS, most)),
            .source_meters = std::bit_ceil(std::clamp<u32>(source_meters, METER_BUCKET_SIZE, most)),
            .backends = std::max<u32>(backends, 1),
            .rules = std::max<u32>(rules, 1)};
}

}  // namespace sluice
