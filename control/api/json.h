// SPDX-License-Identifier: Apache-2.0
//
// The reports as docs/api.md has them.
#pragma once

#include <nlohmann/json.hpp>

#include "control/api/model.h"
#include "dataplane/packet/text.h"

namespace sluice::api {

using Json = nlohmann::ordered_json;

Json status_json(const Report& report);
Json services_json(const Report& report);
Json policy_json(const Report& report);
Json flows_json(const FlowPage& page);
Json trace_json(const Report& report, const std::vector<TraceReport>& events);

// Names of enumerations, as they appear in metrics and in the API.
using sluice::reason_name;
using sluice::verdict_name;
const char* punt_name(u32 kind);
const char* answer_name(u32 kind);
const char* state_name(u32 state);
const char* mode_name(u32 mode);

}  // namespace sluice::api
