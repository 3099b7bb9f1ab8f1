// SPDX-License-Identifier: Apache-2.0
//
// A change of backends' states alone, as writes into the image in force: of the services concerned, not of
// all. Who reads meanwhile meets entries of the ring before and of the ring after, of which each names a
// backend that may be meant.
#pragma once

#include <optional>
#include <vector>

#include "control/compile/environment.h"
#include "control/compile/identities.h"

namespace sluice::compile {

struct ServicePatch {
    u32 backends = 0;       // line of its records
    std::vector<u8> flags;  // of these, by position
    u32 ring = 0;           // line
    std::vector<u16> entries;
    RingKey before, after;  // of that ring
};

// What makes of `image`, compiled from `config` with these identities, the image of `environment`'s states.
// Nothing where that takes a new snapshot: a ring that several services share, or one that is to have another
// size.
std::optional<std::vector<ServicePatch>> patch_backends(const config::Config& config,
                                                        const Environment& environment, const Identities& ids,
                                                        const image_line* image);

void write_patch(const ServicePatch& patch, image_line* image);

}  // namespace sluice::compile
