// SPDX-License-Identifier: Apache-2.0
//
// /metrics, /healthz (the process answers) and /readyz (it forwards what it is configured to) over HTTP.
#pragma once

#include <memory>

#include "control/api/model.h"
#include "control/config/address.h"
#include "control/http/server.h"

namespace sluice::metrics {

// `provider` outlives the server. The error names the address.
Result<std::unique_ptr<http::Server>> serve(const config::Endpoint& listen, api::Provider& provider);

}  // namespace sluice::metrics
