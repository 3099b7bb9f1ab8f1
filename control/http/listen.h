// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets that this process has for itself: a second daemon's attempt fails.
#pragma once

#include <string>

#include "control/config/address.h"
#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"

namespace sluice::http {

// Non-blocking. On [::] IPv4 is taken, too. The error names neither address nor key.
Result<UniqueFd> listen_on(const config::Endpoint& endpoint);
// A unix socket that only its owner may open, in the place of one that is there already.
Result<UniqueFd> listen_on(const std::string& path);

}  // namespace sluice::http
