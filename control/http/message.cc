// SPDX-License-Identifier: Apache-2.0
#include "control/http/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "control/config/address.h"

namespace sluice::http {

namespace {

constexpr std::string_view line_end = "\r\n";

ParseResult refused(int status) {
    ParseResult result;
    result.state = Parsed::refused;
    result.status = status;
    return result;
}

bool equal_without_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// What stands before `end`, which is taken off as well; all of it where `end` does not occur.
std::string_view take_until(std::string_view& text, std::string_view end) {
    const size_t at = std::min(text.find(end), text.size());
    const std::string_view taken = text.substr(0, at);
    text.remove_prefix(std::min(at + end.size(), text.size()));
    return taken;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char small = static_cast<char>(c | 0x20);
    return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

// RFC 3986, section 2.1; a '%' that begins no pair of digits stands for itself.
std::string decode(std::string_view text, bool plus_is_blank) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0) {
            out += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            out += plus_is_blank && text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

void take_target(std::string_view target, Request& request) {
    request.path = decode(take_until(target, "?"), false);
    while (!target.empty()) {
        std::string_view value = take_until(target, "&");
        const std::string name = decode(take_until(value, "="), true);
        request.parameters.emplace(name, decode(value, true));
    }
}

// What the header fields say that matters here.
struct Fields {
    size_t most_body = 0;
    size_t body = 0;
    int refusal = 0;
    bool length_given = false;
};

void take_length(std::string_view value, Fields& fields) {
    const auto length = config::parse_number(value, ~uint64_t{0});
    if (!length || (fields.length_given && *length != fields.body)) {
        fields.refusal = 400;
    } else if (*length > fields.most_body) {
        fields.refusal = 413;
    } else {
        fields.body = *length;
        fields.length_given = true;
    }
}

void take_field(std::string_view line, Request& request, Fields& fields) {
    const size_t colon = line.find(':');
    // RFC 9112, section 5.1: no blank before the colon; 5.2: no folded lines.
    if (colon == std::string_view::npos || colon == 0 || line.find_first_of(" \t") < colon) {
        fields.refusal = 400;
        return;
    }
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim(line.substr(colon + 1));
    if (equal_without_case(name, "content-length")) take_length(value, fields);
    if (equal_without_case(name, "transfer-encoding")) fields.refusal = 501;
    if (!equal_without_case(name, "connection")) return;
    if (equal_without_case(value, "close")) request.keep_alive = false;
    if (equal_without_case(value, "keep-alive")) request.keep_alive = true;
}

bool take_request_line(std::string_view line, Request& request) {
    request.method = take_until(line, " ");
    const std::string_view target = take_until(line, " ");
    const bool known = line == "HTTP/1.1" || line == "HTTP/1.0";
    if (request.method.empty() || !target.starts_with('/') || !known) return false;
    request.keep_alive = line == "HTTP/1.1";
    take_target(target, request);
    return true;
}

const char* reason(int status) {
    switch (status) {
        case 200: return "OK";
        case 400: return "Bad Request";
        case 404: return "Not Found";
        case 413: return "Content Too Large";
        case 422: return "Unprocessable Content";
        case 431: return "Request Header Fields Too Large";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        default: return "";
    }
}

}  // namespace

std::optional<std::string> Request::parameter(const std::string& name) const {
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::nullopt : std::optional(found->second);
}

ParseResult parse_request(std::string_view bytes, size_t most_body) {
    const std::string_view head_end = "\r\n\r\n";
    const size_t end = bytes.find(head_end);
    if (std::min(end, bytes.size()) > longest_head) return refused(431);
    if (end == std::string_view::npos) return {};
    ParseResult result;
    std::string_view head = bytes.substr(0, end);
    if (!take_request_line(take_until(head, line_end), result.request)) return refused(400);
    Fields fields;
    fields.most_body = most_body;
    while (!head.empty() && fields.refusal == 0)
        take_field(take_until(head, line_end), result.request, fields);
    if (fields.refusal != 0) return refused(fields.refusal);
    const std::string_view rest = bytes.substr(end + head_end.size());
    if (rest.size() < fields.body) return {};
    result.request.body = rest.substr(0, fields.body);
    result.length = end + head_end.size() + fields.body;
    result.state = Parsed::complete;
    return result;
}

std::string compose(const Response& response, bool keep_alive, bool with_body) {
    return fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n{}",
                       response.status, reason(response.status), response.type, response.body.size(),
                       keep_alive ? "keep-alive" : "close", with_body ? response.body : "");
}

}  // namespace sluice::http
