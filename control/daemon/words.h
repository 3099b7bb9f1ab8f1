// SPDX-License-Identifier: Apache-2.0
//
// The configuration's values in the words of its file.
#pragma once

#include <string>

#include "control/config/model.h"

namespace sluice::control {

std::string word(config::Protocol protocol);
std::string word(config::Mode mode);
std::string word(config::Action action);
std::string word(config::BackendState state);

// "80,443,8000-8100" or "any"
std::string ports_text(const config::ServicePorts& ports);

}  // namespace sluice::control
