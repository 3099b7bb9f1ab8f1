// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <string>

#include "dataplane/base/result.h"

namespace sluice::ctl {

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
