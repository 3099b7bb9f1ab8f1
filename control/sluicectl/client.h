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
    static constexpr int nobody = -1;  // an error's code: nobody answers

    explicit Client(std::string socket) : socket_(std::move(socket)) {}

    // `method` is GET, POST, PUT or DELETE; `body` is JSON or empty.
    Result<nlohmann::ordered_json> ask(const std::string& method, const std::string& path,
                                       const std::string& body = "") const;
    // What is no JSON, as it comes.
    Result<std::string> fetch(const std::string& path) const;

private:
    struct Answer {
        int status = 0;
        std::string body;
    };
    Result<Answer> send(const std::string& method, const std::string& path, const std::string& body) const;
    Error refusal(const Answer& answer) const;

    std::string socket_;
};

}  // namespace sluice::ctl
