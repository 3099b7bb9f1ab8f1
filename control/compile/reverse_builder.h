// SPDX-License-Identifier: Apache-2.0
//
// Which replies of nat services tell their VIP by the backend they come from alone, and the table that says
// so.
#pragma once

#include <set>
#include <vector>

#include "control/compile/identities.h"
#include "control/compile/image_writer.h"
#include "dataplane/base/result.h"

namespace sluice::compile {

struct Reverse {
    // Nat services whose replies may belong to something else, too, by position in the configuration. All
    // other nat services are in `records`.
    std::set<size_t> ambiguous;
    std::vector<image_reverse> records;
};

// A reply is clear when the VIP is a host, only one of its ports leads to the backend's port, and no other
// nat service leads there, disabled and draining backends included (so that health does not change a
// service's ways).
Reverse find_reverse(const config::Config& config, const Identities& ids);

struct ReverseTable {
    u32 line = 0;
    u32 mask = 0;
};
Result<ReverseTable> write_reverse(const std::vector<image_reverse>& records, ImageWriter& writer);

}  // namespace sluice::compile
