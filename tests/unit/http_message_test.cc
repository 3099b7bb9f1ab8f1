// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "control/http/message.h"

namespace sluice::http {
namespace {

constexpr size_t longest_body = 65536;

ParseResult parse_request(const std::string& bytes) { return RequestParser(longest_body).take(bytes); }

TEST(HttpMessage, AQueryIsTakenApartAndDecoded) {
    const ParseResult parsed = parse_request(
        "GET /v1/flows?limit=5&address=2001%3Adb8%3A%3a1&service=a+b&limit=6&flag HTTP/1.1\r\n"
        "Host: x\r\n\r\n");
    ASSERT_EQ(parsed.state, Parsed::complete);
    EXPECT_EQ(parsed.request.method, "GET");
    EXPECT_EQ(parsed.request.path, "/v1/flows");
    EXPECT_EQ(parsed.request.parameter("limit"), "5");
    EXPECT_EQ(parsed.request.parameter("address"), "2001:db8::1");
    EXPECT_EQ(parsed.request.parameter("service"), "a b");
    EXPECT_EQ(parsed.request.parameter("flag"), "");
    EXPECT_EQ(parsed.request.parameter("other"), std::nullopt);
    EXPECT_TRUE(parsed.request.keep_alive);
}

TEST(HttpMessage, ARequestEndsWithItsBodyAndWhatFollowsIsLeft) {
    const std::string one = "PUT /a HTTP/1.1\r\ncontent-LENGTH:  3 \r\n\r\nabc";
    for (size_t length = 0; length < one.size(); ++length)
        EXPECT_EQ(parse_request(one.substr(0, length)).state, Parsed::incomplete) << length;
    const ParseResult parsed = parse_request(one + "GET /b HTTP/1.1\r\n\r\n");
    ASSERT_EQ(parsed.state, Parsed::complete);
    EXPECT_EQ(parsed.request.body, "abc");
    EXPECT_EQ(parsed.length, one.size());
}

TEST(HttpMessage, ARequestMayComeByteByByte) {
    RequestParser parser(longest_body);
    const std::string one = "PUT /a?b=c HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    for (int round = 0; round < 2; ++round) {
        for (size_t at = 0; at + 1 < one.size(); ++at)
            ASSERT_EQ(parser.take(one.substr(at, 1)).state, Parsed::incomplete) << at;
        const ParseResult parsed = parser.take("c");
        ASSERT_EQ(parsed.state, Parsed::complete);
        EXPECT_EQ(parsed.request.parameter("b"), "c");
        EXPECT_EQ(parsed.request.body, "abc");
    }
}

TEST(HttpMessage, ABodyMayComeInChunks) {
    const ParseResult parsed =
        parse_request("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    ASSERT_EQ(parsed.state, Parsed::complete);
    EXPECT_EQ(parsed.request.body, "abc");
}

TEST(HttpMessage, ConnectionsStayOpenByVersionAndField) {
    const auto stays = [](const std::string& version, const std::string& field) {
        return parse_request("GET / " + version + "\r\n" + field + "\r\n").request.keep_alive;
    };
    EXPECT_TRUE(stays("HTTP/1.1", ""));
    EXPECT_FALSE(stays("HTTP/1.0", ""));
    EXPECT_FALSE(stays("HTTP/1.1", "Connection: Close\r\n"));
    EXPECT_TRUE(stays("HTTP/1.0", "connection: keep-alive\r\n"));
}

TEST(HttpMessage, WhatIsNoRequestIsRefused) {
    const auto status = [](const std::string& bytes) {
        const ParseResult parsed = parse_request(bytes);
        return parsed.state == Parsed::refused ? parsed.status : 0;
    };
    for (const char* line :
         {"GET", "GET /", "GET / HTTP/2.0", "GET x HTTP/1.1", " / HTTP/1.1", "GET / / HTTP/1.1"})
        EXPECT_EQ(status(std::string(line) + "\r\n\r\n"), 400) << line;
    for (const char* field : {"no colon", ": x", "Content-Length: -1", "Content-Length: 1x",
                              "Content-Length: 1\r\nContent-Length: 2"})
        EXPECT_EQ(status(std::string("GET / HTTP/1.1\r\n") + field + "\r\n\r\n"), 400) << field;
    EXPECT_EQ(status("PUT / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n"), 413);
    EXPECT_EQ(status("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n" +
                     std::string(longest_body + 1, 'x')),
              413);
    EXPECT_EQ(status("GET /" + std::string(longest_head, 'x')), 431);
    EXPECT_EQ(status("GET / HTTP/1.1\r\nx: " + std::string(longest_head, 'y') + "\r\n\r\n"), 431);
}

TEST(HttpMessage, AnAnswerToHeadHasTheLengthAndNoBody) {
    EXPECT_EQ(
        compose({200, "text/plain", "body\n"}, false, false),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
}

}  // namespace
}  // namespace sluice::http
