// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "control/api/model.h"
#include "control/http/server.h"

namespace sluice::api {

// POST, GET and DELETE of /v1/capture.
void add_capture_routes(http::Server& server, Provider& provider);

}  // namespace sluice::api
