// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace sluice::ctl {

// `value` as it stands in a request's query (RFC 3986, section 2.1): names may have any character.
std::string encoded(std::string_view value);

// Asks the daemon behind a unix socket. The error of a request that it refused is its own word.
class Client {
public:
    explicit Client(std::string socket) : socket_(std::move(socket)) {}

    // `method` is GET, POST or PUT; `body` is JSON or empty.
    Result<nlohmann::ordered_json> ask(const std::string& method, const std::string& path,
                                       const std::string& body = "") const;

private:
    std::string socket_;
};

}  // namespace sluice::ctl
