// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/tables/flow_table.h"

namespace sluice {

// How large the program's tables are, as configured. A daemon adopts pinned maps only if they have these
// sizes.
struct MapSizes {
    u32 flows = 1u << 20;                // slots, a power of two, 8 at least
    u32 source_meters = 65536;           // a power of two, METER_BUCKET_SIZE at least
    u32 backends = 65536;                // bound of backend ids
    u32 rules = POLICY_MAX_WORDS * 64u;  // bound of rule ids

    bool operator==(const MapSizes&) const = default;

    // Any numbers rounded up to what the tables can be.
    static MapSizes rounded(u32 flows, u32 source_meters, u32 backends, u32 rules);
};

}  // namespace sluice
