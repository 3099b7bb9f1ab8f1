// SPDX-License-Identifier: Apache-2.0
//
// Which numbers flows, counters and meters know services, backends and rules by, as text beside the pinned
// maps: a daemon that adopts the maps goes on with them, whatever order its configuration has.
#pragma once

#include <string>

#include "control/compile/identities.h"

namespace sluice::control {

inline constexpr const char* kept_names_pin = "names";

std::string kept_names(const compile::Identities& identities);

// The error says what is not as kept_names() writes it.
Result<compile::Identities> identities_of(const std::string& text);

}  // namespace sluice::control
