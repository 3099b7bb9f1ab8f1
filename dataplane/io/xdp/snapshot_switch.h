// SPDX-License-Identifier: Apache-2.0
//
// The order in which a node turns to another snapshot while its packet tiers run.
#pragma once

#include "dataplane/base/result.h"
#include "dataplane/tables/node.h"

namespace sluice {

// Word by word: tiers read these bits meanwhile, and need what old and new snapshot want until all have taken
// the new one.
inline void interest_widen(interest& to, const interest& by) {
    for (size_t i = 0; i < INTEREST_BITS / 64; ++i) {
        __atomic_fetch_or(&to.hosts[i], by.hosts[i], __ATOMIC_RELAXED);
        __atomic_fetch_or(&to.prefixes[i], by.prefixes[i], __ATOMIC_RELAXED);
    }
}

inline void interest_narrow(interest& to, const interest& from) {
    for (size_t i = 0; i < INTEREST_BITS / 64; ++i) {
        __atomic_store_n(&to.hosts[i], from.hosts[i], __ATOMIC_RELAXED);
        __atomic_store_n(&to.prefixes[i], from.prefixes[i], __ATOMIC_RELAXED);
    }
}

// `turn` makes every tier take the new image; only then does its generation make flows of the one before ask
// anew. When it fails the old snapshot is in force, and `node` is interested in more than it need be.
template <typename Turn>
Status switch_snapshot(node_state& node, u32 generation, const interest& destination, const interest& source,
                       Turn turn) {
    interest_widen(node.destination, destination);
    interest_widen(node.source, source);
    if (Status status = turn(); !status) return status;
    __atomic_store_n(&node.generation, generation, __ATOMIC_RELEASE);
    interest_narrow(node.destination, destination);
    interest_narrow(node.source, source);
    return {};
}

}  // namespace sluice
