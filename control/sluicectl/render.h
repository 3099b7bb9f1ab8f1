// SPDX-License-Identifier: Apache-2.0
//
// The API's answers for people: at most 80 columns wide.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace sluice::ctl {

using Json = nlohmann::ordered_json;

std::string status_text(const Json& status);
std::string services_text(const Json& services);
std::string policy_text(const Json& policy);
std::string flows_text(const Json& page);
std::string trace_text(const Json& trace);
std::string trace_line(const Json& event);  // of its events

}  // namespace sluice::ctl
