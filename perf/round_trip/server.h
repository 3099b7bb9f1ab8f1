// SPDX-License-Identifier: Apache-2.0
//
// Sends back what it gets. Before an answer it may sleep, so that a client's figures can be checked against
// delays that are known.
#pragma once

#include <vector>

#include "perf/round_trip/sockets.h"

namespace sluice::perf {

// Serves until a signal. `delays`: µs before each answer, in turn; empty: none. One request at a time.
Status serve(const Endpoint& at, bool tcp, u32 bytes, const std::vector<u32>& delays);

}  // namespace sluice::perf
