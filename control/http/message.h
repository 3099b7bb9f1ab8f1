// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 (RFC 9112) messages as the daemon's listeners take and give them; the grammar is http-parser's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::http {

constexpr size_t longest_head = 8192;  // bytes of target and header fields

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
    size_t length = 0;  // of the bytes that were taken
    int status = 0;     // why it is refused: 400, 413 or 431
};

// Puts requests together from the bytes of a connection. What is refused ends the connection: where the next
// one begins is not known.
class RequestParser {
public:
    explicit RequestParser(size_t longest_body = 0);  // bytes
    ~RequestParser();
    RequestParser(RequestParser&&) noexcept;
    RequestParser& operator=(RequestParser&&) noexcept;

    // Takes all of `bytes`, or those up to the end of a request.
    ParseResult take(std::string_view bytes);

    struct Reading;

private:
    size_t longest_body_;
    std::unique_ptr<Reading> reading_;
};

// The answer's bytes; `with_body` is false for HEAD.
std::string compose(const Response& response, bool keep_alive, bool with_body);

}  // namespace sluice::http
