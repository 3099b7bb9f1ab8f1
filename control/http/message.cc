// SPDX-License-Identifier: Apache-2.0
#include "control/http/message.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <http_parser.h>

#include <algorithm>
#include <limits>
#include <memory>

namespace sluice::http {

namespace {

constexpr uint64_t length_not_given = std::numeric_limits<uint64_t>::max();
constexpr int go_on = 0;
constexpr int end = 1;

}  // namespace

// What the library's callbacks fill.
struct RequestParser::Reading {
    http_parser parser;
    ParseResult result;
    std::string target;
    size_t head = 0;  // bytes of it, marks between its parts left out
    size_t longest_body;

    explicit Reading(size_t most_body) : longest_body(most_body) {
        http_parser_init(&parser, HTTP_REQUEST);
        parser.data = this;
    }
    ParseResult finish(size_t taken);
};

namespace {

RequestParser::Reading& reading_of(http_parser* parser) {
    return *static_cast<RequestParser::Reading*>(parser->data);
}

int refuse(http_parser* parser, int status) {
    reading_of(parser).result.status = status;
    return end;
}

int add_head(http_parser* parser, const char*, size_t length) {
    return (reading_of(parser).head += length) > longest_head ? refuse(parser, 431) : go_on;
}

int add_target(http_parser* parser, const char* bytes, size_t length) {
    reading_of(parser).target.append(bytes, length);
    return add_head(parser, bytes, length);
}

int check_length(http_parser* parser) {
    const bool too_long = parser->content_length != length_not_given &&
                          parser->content_length > reading_of(parser).longest_body;
    return too_long ? refuse(parser, 413) : go_on;
}

int add_body(http_parser* parser, const char* bytes, size_t length) {
    std::string& body = reading_of(parser).result.request.body;
    if (body.size() + length > reading_of(parser).longest_body) return refuse(parser, 413);
    body.append(bytes, length);
    return go_on;
}

// What follows is the next request.
int stop_at_end(http_parser* parser) {
    reading_of(parser).result.state = Parsed::complete;
    http_parser_pause(parser, 1);
    return go_on;
}

const http_parser_settings& callbacks() {
    static const http_parser_settings all = [] {
        http_parser_settings settings;
        http_parser_settings_init(&settings);
        settings.on_url = add_target;
        settings.on_header_field = add_head;
        settings.on_header_value = add_head;
        settings.on_headers_complete = check_length;
        settings.on_body = add_body;
        settings.on_message_complete = stop_at_end;
        return settings;
    }();
    return all;
}

// RFC 3986, section 2.1; a '%' that begins no pair of digits stands for itself.
std::string decode(const std::string& text) {
    int length = 0;
    const std::unique_ptr<char, decltype(&curl_free)> decoded(
        curl_easy_unescape(nullptr, text.c_str(), static_cast<int>(text.size()), &length), curl_free);
    return decoded ? std::string(decoded.get(), static_cast<size_t>(length)) : text;
}

// In a query '+' is a blank (application/x-www-form-urlencoded).
std::string decode_query(std::string text) {
    std::replace(text.begin(), text.end(), '+', ' ');
    return decode(text);
}

// What stands before `mark`, which is taken off as well; all of it where `mark` does not occur.
std::string take_until(std::string& text, char mark) {
    const size_t at = std::min(text.find(mark), text.size());
    const std::string taken = text.substr(0, at);
    text.erase(0, at + 1);
    return taken;
}

void take_target(std::string target, Request& request) {
    request.path = decode(take_until(target, '?'));
    while (!target.empty()) {
        std::string value = take_until(target, '&');
        const std::string name = decode_query(take_until(value, '='));
        request.parameters.emplace(name, decode_query(value));
    }
}

ParseResult refused(int status) {
    ParseResult result;
    result.state = Parsed::refused;
    result.status = status;
    return result;
}

}  // namespace

std::optional<std::string> Request::parameter(const std::string& name) const {
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::nullopt : std::optional(found->second);
}

RequestParser::RequestParser(size_t longest_body)
    : longest_body_(longest_body), reading_(std::make_unique<Reading>(longest_body)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

ParseResult RequestParser::Reading::finish(size_t taken) {
    if (result.status != 0) return refused(result.status);
    const http_errno error = HTTP_PARSER_ERRNO(&parser);
    if (error != HPE_OK && error != HPE_PAUSED) return refused(error == HPE_HEADER_OVERFLOW ? 431 : 400);
    if (parser.http_major != 1 || !target.starts_with('/')) return refused(400);
    result.request.method = http_method_str(static_cast<http_method>(parser.method));
    result.request.keep_alive = http_should_keep_alive(&parser) != 0;
    take_target(std::move(target), result.request);
    result.length = taken;
    return std::move(result);
}

ParseResult RequestParser::take(std::string_view bytes) {
    const size_t taken = http_parser_execute(&reading_->parser, &callbacks(), bytes.data(), bytes.size());
    const bool ended = HTTP_PARSER_ERRNO(&reading_->parser) != HPE_OK;  // paused at its end, or refused
    if (!ended) {
        ParseResult more;
        more.length = taken;
        return more;
    }
    ParseResult done = reading_->finish(taken);
    reading_ = std::make_unique<Reading>(longest_body_);
    return done;
}

std::string compose(const Response& response, bool keep_alive, bool with_body) {
    return fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n{}",
                       response.status, http_status_str(static_cast<http_status>(response.status)),
                       response.type, response.body.size(), keep_alive ? "keep-alive" : "close",
                       with_body ? response.body : "");
}

}  // namespace sluice::http
