// SPDX-License-Identifier: Apache-2.0
//
// A compiled image under the packet path's own look-ups.
#pragma once

#include "control/compile/compiler.h"
#include "control/compile/prefix.h"
#include "dataplane/tables/image_lookup.h"

namespace sluice::compile {

inline struct tables tables_of(const Lines& lines) {
    struct tables t {};
    t.image = lines.data();
    t.image_lines = static_cast<u32>(lines.size());
    return t;
}

inline u32 lpm_find(const struct tables& t, const struct image_lpm& lpm, const config::Address& a) {
    const struct address key = to_address(a);
    return image_lpm_find(&t, &lpm, &key);
}

}  // namespace sluice::compile
