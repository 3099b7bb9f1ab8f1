// SPDX-License-Identifier: Apache-2.0
//
// What this release can do of all that a configuration can say. A key whose feature is not built is refused
// as such, never accepted and ignored; what states the absence of a feature (its default) is taken. The table
// in support.cc shrinks as features are built.
#pragma once

#include <string>
#include <vector>

#include "control/config/config.h"
#include "dataplane/base/result.h"

namespace sluice::config {

// Refuses, for each place in the file (config.document must still be there; without it nothing is refused):
// FILE:LINE:COLUMN: services[2].mode: value "proxy": not supported by this release (built: nat, ...)
Status check_supported(const Config& config);

struct Limitation {
    std::string key;                 // "services[].mode"; [] is any entry, * any name
    std::vector<std::string> built;  // values that are; empty: the key is not supported at all
    std::string except_mode = "";    // a service's mode in which this does not hold
};
const std::vector<Limitation>& limitations();

}  // namespace sluice::config
