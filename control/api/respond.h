// SPDX-License-Identifier: Apache-2.0
//
// What the API's requests and answers have in common.
#pragma once

#include <string>

#include "control/api/json.h"
#include "control/config/address.h"
#include "control/http/message.h"

namespace sluice::api {

constexpr const char* json_type = "application/json";

inline void answer(http::Response& response, const Json& json) {
    response.type = json_type;
    response.body = json.dump() + "\n";
}

inline void refuse(http::Response& response, int status, const std::string& message) {
    response.status = status;
    answer(response, {{"error", message}});
}

// The number of parameter `name`; `fallback` where it is not given.
inline Result<u64> number(const http::Request& request, const char* name, u64 fallback, u64 most) {
    const auto text = request.parameter(name);
    if (!text) return fallback;
    if (const auto value = config::parse_number(*text, most)) return *value;
    return make_error("{}: value \"{}\": expected a number up to {}", name, *text, most);
}

}  // namespace sluice::api
