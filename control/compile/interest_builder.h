// SPDX-License-Identifier: Apache-2.0
//
// The filter over addresses that may matter (struct interest).
#pragma once

#include "control/compile/environment.h"
#include "control/compile/prefix.h"
#include "control/config/config.h"

namespace sluice::compile {

void interest_add(struct interest& interest, const PrefixKey& prefix);

struct Interests {
    struct interest destination {};  // VIPs, managed prefixes, tunnel endpoints
    struct interest source {
    };  // backends of nat and fullnat services: where replies to be translated come from
};

Interests find_interests(const config::Config& config);

}  // namespace sluice::compile
