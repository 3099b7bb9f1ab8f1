// SPDX-License-Identifier: Apache-2.0
//
// The pipeline over a capture file, in order, with state.
#pragma once

#include <string>

#include "dataplane/base/result.h"

namespace sluice::replay {

enum class Tier { native, xdp, dpdk };

struct Options {
    std::string config;
    std::string in;
    std::string out;        // empty: no capture of what leaves
    std::string verdicts;   // empty: none; "-": standard output
    std::string interface;  // as if received on this one; empty: the first
    Tier tier = Tier::native;
};

// Runs the whole capture. Verdicts are results, not errors; an error is a file that cannot be read or
// written, or an interface that is not configured.
Status run(const Options& options);

}  // namespace sluice::replay
