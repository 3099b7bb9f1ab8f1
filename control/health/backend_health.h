// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/packet/target.h"

namespace sluice::health {

// What is known of a backend that is probed.
struct BackendHealth {
    bool up = true;
    bool probed = false;  // else it is taken to be up
    bool damped = false;  // down for its flapping, whatever its probes say
    double penalty = 0;   // track.h
    u32 successes = 0;    // in a row
    u32 failures = 0;
    u64 succeeded = 0;  // probes, since the daemon started
    u64 failed = 0;
    u64 unable = 0;  // that this node could not make
    u64 went_up = 0;
    u64 went_down = 0;
    double since = 0;         // seconds in this state, or since it is probed
    double last_seconds = 0;  // that the last probe took
    std::string last_error;   // of the last probe that failed
};

}  // namespace sluice::health
