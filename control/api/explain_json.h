// SPDX-License-Identifier: Apache-2.0
//
// What would happen, as docs/api.md has it.
#pragma once

#include "control/api/json.h"

namespace sluice::api {

Json explain_json(const ExplainAnswer& answer);
Json diff_json(const DiffReport& report);

// The body of POST /v1/explain. The error names the key, its value and what was expected.
Result<ExplainRequest> explain_request(const std::string& body);

}  // namespace sluice::api
