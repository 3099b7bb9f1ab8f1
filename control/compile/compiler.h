// SPDX-License-Identifier: Apache-2.0
//
// From a configuration to a snapshot: the image that every tier runs on (dataplane/tables/image.h), and what
// goes with it.
#pragma once

#include <array>

#include "control/compile/environment.h"
#include "control/compile/identities.h"
#include "control/compile/image_writer.h"
#include "control/compile/interest_builder.h"

namespace sluice::compile {

struct BuildStatistics {
    size_t rules = 0;
    size_t rows = 0;                  // of the policy's bit vectors
    size_t destination_prefixes = 0;  // that differ from what is around them
    size_t source_prefixes = 0;
    size_t route_prefixes = 0;
    size_t rings = 0;
    size_t bytes = 0;  // of the image
    double milliseconds = 0;
};

struct Snapshot {
    Lines lines;
    u32 generation = 0;
    Identities identities;
    Interests interests;
    RingLines rings;
    std::array<u32, STATE_COUNT> timeouts{};  // for node_state: ticks of 2^20 ns, by flow_state
    BuildStatistics statistics;

    const image_header& header() const { return *reinterpret_cast<const image_header*>(lines.data()); }
};

// `previous`: identities of the snapshot in force, if there is one. Nothing but the arguments enters the
// image: two nodes with the same ones have the same bytes. Errors name the place in the configuration.
Result<Snapshot> compile(const config::Config& config, const Environment& environment,
                         const Identities* previous);

}  // namespace sluice::compile
