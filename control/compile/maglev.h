// SPDX-License-Identifier: Apache-2.0
//
// Maglev's lookup table (Eisenbud et al.: Maglev, NSDI 2016, 3.4), weighted.
#pragma once

#include <vector>

#include "dataplane/packet/address.h"

namespace sluice::compile {

struct RingBackend {
    struct address address;
    u16 port = 0;    // host order; 0: the packet's own
    u32 weight = 0;  // 0: no slots
};

constexpr u16 no_backend = 0xffff;

// `size` (a prime) positions of `backends`; each holds within about one slot of its share of the weights.
// Depends on the addresses, ports and weights only, not on the order they are given in, so all nodes agree.
// Nobody with a weight: no_backend everywhere. At most 65,535 backends.
std::vector<u16> build_ring(const std::vector<RingBackend>& backends, u32 size);

}  // namespace sluice::compile
