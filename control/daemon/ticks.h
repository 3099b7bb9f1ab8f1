// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/base/clock.h"
#include "dataplane/packet/target.h"

namespace sluice::control {

// The packet path's clock: CLOCK_MONOTONIC in units of 2^20 ns.
inline u32 ticks_now() { return static_cast<u32>(monotonic_ns() >> 20); }

}  // namespace sluice::control
