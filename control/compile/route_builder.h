// SPDX-License-Identifier: Apache-2.0
//
// The configured routes and neighbours.
#pragma once

#include "control/compile/environment.h"
#include "control/compile/lpm_builder.h"
#include "control/config/config.h"

namespace sluice::compile {

constexpr u32 no_route = 0xffffffff;   // value of the routes' LPM where nothing matches
constexpr size_t most_next_hops = 16;  // of one route

struct Routes {
    LpmTable lpm;  // to an index of `groups`
    std::vector<image_route_group> groups;
    std::vector<image_next_hop> next_hops;
    std::vector<image_neighbor> neighbors;
};

// A next hop's MAC is its own `mac`, or what `neighbors` says of its address. Fails for an interface that is
// not there.
Result<Routes> build_routes(const config::Config& config, const Environment& environment);

// Sets the header's fields and flags.
Status write_routes(Routes routes, ImageWriter& writer, image_header& header);

}  // namespace sluice::compile
