// SPDX-License-Identifier: Apache-2.0
//
// Builds the image's longest-prefix-match tables (struct image_lpm; the method is in
// dataplane/tables/image.h).
#pragma once

#include <vector>

#include "control/compile/image_writer.h"
#include "control/compile/prefix.h"
#include "dataplane/base/result.h"

namespace sluice::compile {

struct LpmItem {
    PrefixKey prefix;
    u32 value = 0;
    auto operator<=>(const LpmItem&) const = default;
};

struct LpmTable {
    Lines lengths;
    Lines entries;  // empty: nothing but `none`
    u32 bucket_mask = 0;
    u32 none = 0;
    size_t prefixes = 0;  // that make a difference
    size_t markers = 0;

    struct image_lpm write(ImageWriter& writer) &&;
};

// Each prefix is given once, in any order. An address that no item of its own family covers has the value
// `none`. Prefixes whose value is that of the one covering them are left out. Fails beyond LPM_LENGTHS
// distinct lengths.
Result<LpmTable> build_lpm(std::vector<LpmItem> items, u32 none);

}  // namespace sluice::compile
