// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/header.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <random>

namespace sluice::proxy {
namespace {

Endpoint endpoint(const char* text, u16 port) {
    Endpoint out;
    u32 word = 0;
    if (inet_pton(AF_INET, text, &word) == 1)
        out.address = address_from_ipv4_word(word);
    else
        EXPECT_EQ(inet_pton(AF_INET6, text, &out.address), 1) << text;
    out.port = port;
    return out;
}

std::span<const u8> bytes_of(const std::string& text) {
    return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

const Endpoint client4 = endpoint("203.0.113.7", 4242);
const Endpoint vip4 = endpoint("192.0.2.10", 443);
const Endpoint client6 = endpoint("2001:db8::7", 65535);
const Endpoint vip6 = endpoint("2001:db8:a::10", 1);

std::vector<std::string> good_headers() {
    const std::string extension(
        "\x05\x00\x03"
        "abc"
        "\x04\x00\x00",
        9);
    std::vector<std::string> out;
    for (const HeaderVersion version : {HeaderVersion::v1, HeaderVersion::v2}) {
        out.push_back(compose_header(version, IPPROTO_TCP, client4, vip4, {}));
        out.push_back(compose_header(version, IPPROTO_TCP, client6, vip6, {}));
    }
    out.push_back(compose_header(HeaderVersion::v2, IPPROTO_TCP, client4, vip4, bytes_of(extension)));
    return out;
}

TEST(ProxyHeader, SaysVersion1AsTheSpecificationWritesIt) {
    EXPECT_EQ(compose_header(HeaderVersion::v1, IPPROTO_TCP, client4, vip4, {}),
              "PROXY TCP4 203.0.113.7 192.0.2.10 4242 443\r\n");
    EXPECT_EQ(compose_header(HeaderVersion::v1, IPPROTO_TCP, client6, vip6, {}),
              "PROXY TCP6 2001:db8::7 2001:db8:a::10 65535 1\r\n");
}

TEST(ProxyHeader, SaysVersion2AsTheSpecificationWritesIt) {
    const u8 expected[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49,
                           0x54, 0x0a, 0x21, 0x11, 0,    12,   203,  0,    113,  7,
                           192,  0,    2,    10,   0x10, 0x92, 0x01, 0xbb};
    const std::string got = compose_header(HeaderVersion::v2, IPPROTO_TCP, client4, vip4, {});
    EXPECT_EQ(got, std::string(reinterpret_cast<const char*>(expected), sizeof expected));
}

TEST(ProxyHeader, GivesBackWhatWasSaidWithExtensionsAndLeavesWhatFollows) {
    for (const std::string& header : good_headers()) {
        const HeaderResult got = parse_header(bytes_of(header + "GET /"));
        ASSERT_EQ(got.state, Parsed::complete) << got.why;
        EXPECT_EQ(got.length, header.size());
        const bool v4 = got.header.source.is_v4();
        EXPECT_EQ(got.header.source, v4 ? client4 : client6);
        EXPECT_EQ(got.header.destination, v4 ? vip4 : vip6);
    }
    EXPECT_EQ(parse_header(bytes_of(good_headers().back())).header.extensions.size(), 9U);
}

TEST(ProxyHeader, WaitsForTheRestOfEveryTruncatedHeader) {
    for (const std::string& header : good_headers()) {
        for (size_t length = 0; length < header.size(); ++length)
            EXPECT_EQ(parse_header(bytes_of(header.substr(0, length))).state, Parsed::incomplete) << length;
    }
}

TEST(ProxyHeader, TakesConnectionsOfTheSenderItselfForWhatTheyAre) {
    for (const std::string& header :
         {std::string("PROXY UNKNOWN\r\n"), std::string("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"),
          std::string("\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00", 16)}) {
        const HeaderResult got = parse_header(bytes_of(header));
        EXPECT_EQ(got.state, Parsed::complete);
        EXPECT_TRUE(got.header.local);
    }
}

TEST(ProxyHeader, RefusesWhatIsNoHeaderAtItsFirstWrongByte) {
    const std::string wrong[] = {
        "GET / HTTP/1.1\r\n",
        "PROXX",
        "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY \r\n",
        "PROXY " + std::string(200, 'x'),
        std::string("\r\n\r\n\0\r\nQUIT\n\x31", 13),                                     // version 3
        std::string("\r\n\r\n\0\r\nQUIT\n\x22", 13),                                     // command 2
        std::string("\r\n\r\n\0\r\nQUIT\n\x21\x41", 14),                                 // family 4
        std::string("\r\n\r\n\0\r\nQUIT\n\x21\x13", 14),                                 // transport 3
        std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0b", 16) + std::string(11, 'a'),  // too short for IPv4
        std::string("\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x0c", 16) + std::string(12, 'a'),  // too short for IPv6
        std::string("\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\x0c", 16) + std::string(12, 'a'),  // unix
        std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16),  // longer than is taken
        std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f", 16) + std::string(12, 'a') +
            std::string("\x05\x00\x09", 3),
    };
    for (const std::string& bytes : wrong) {
        const HeaderResult got = parse_header(bytes_of(bytes));
        EXPECT_EQ(got.state, Parsed::malformed) << bytes;
        EXPECT_STRNE(got.why, "");
    }
}

// Whatever the bytes: an answer, no read beyond them (the sanitizers watch), and a length within them.
TEST(ProxyHeader, SurvivesMutations) {
    std::mt19937 random(7);
    const std::vector<std::string> seeds = good_headers();
    u32 complete = 0;
    for (int i = 0; i < 200'000; ++i) {
        std::string bytes = seeds[random() % seeds.size()];
        for (u32 n = random() % 4; n > 0; --n) bytes[random() % bytes.size()] = static_cast<char>(random());
        bytes.resize(random() % (bytes.size() + 8));
        const std::vector<u8> exact(bytes.begin(), bytes.end());
        const HeaderResult got = parse_header(exact);
        if (got.state != Parsed::complete) continue;
        ++complete;
        EXPECT_LE(got.length, exact.size());
    }
    EXPECT_GT(complete, 1000U);
}

}  // namespace
}  // namespace sluice::proxy
