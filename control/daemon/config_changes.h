// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "control/config/config.h"

namespace sluice::control {

// What differs, one line each, in the order of the file: "service web: backends changed".
std::vector<std::string> config_changes(const config::Config& before, const config::Config& after);

}  // namespace sluice::control
