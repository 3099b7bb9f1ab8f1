// SPDX-License-Identifier: Apache-2.0
//
// `sluicectl top`: what moved between two looks at the counters, as lines of a screen or as JSON.
#pragma once

#include <string>
#include <vector>

#include "control/sluicectl/render.h"

namespace sluice::ctl {

struct Look {
    double at = 0;  // seconds, any origin
    Json status;    // answers of the API
    Json services;
};

// Rates per second. Counters that began anew in between (a restart) count from zero.
Json rates_between(const Look& before, const Look& now);

// The busiest first; at most `width` columns.
std::vector<std::string> top_lines(const Json& rates, size_t width);

}  // namespace sluice::ctl
