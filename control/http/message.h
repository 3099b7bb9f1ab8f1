// SPDX-License-Identifier: Apache-2.0
//
// The part of HTTP/1.1 (RFC 9112) that the daemon's listeners speak: requests with a Content-Length at most,
// no transfer codings.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::http {

constexpr size_t longest_head = 8192;  // bytes of request line and header fields

struct Request {
    std::string method;
    std::string path;                               // decoded, without the query
    std::map<std::string, std::string> parameters;  // of the query, decoded; the first of a name counts
    std::string body;
    bool keep_alive = true;

    std::optional<std::string> parameter(const std::string& name) const;
};

struct Response {
    int status = 200;
    std::string type = "text/plain; charset=utf-8";
    std::string body;
};

enum class Parsed { complete, incomplete, refused };

struct ParseResult {
    Parsed state = Parsed::incomplete;
    Request request;
    size_t length = 0;  // of the whole request in bytes, once complete
    int status = 0;     // why it is refused: 400, 413, 431 or 501
};

// The request at the front of `bytes`, whose body has `most_body` bytes at most. What is refused ends the
// connection: where the next one begins is not known.
ParseResult parse_request(std::string_view bytes, size_t most_body);

// The answer's bytes; `with_body` is false for HEAD.
std::string compose(const Response& response, bool keep_alive, bool with_body);

}  // namespace sluice::http
