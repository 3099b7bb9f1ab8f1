// SPDX-License-Identifier: Apache-2.0
//
// Addresses, prefixes and MACs as a configuration states them. IPv4 and IPv6 live in one 128-bit space: an
// IPv4 address is held IPv4-mapped (::ffff:a.b.c.d), an IPv4 prefix is 96 bits longer than it is written (/24
// is 120). The text form of a mapped address ("::ffff:192.0.2.1") is not accepted, so each address has one
// spelling.
//
// An IPv6 prefix shorter than /96 that covers ::ffff:0:0/96 (in practice ::/0) still means IPv6 only:
// families are told apart by is_v4(), and contains() never crosses them.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::config {

struct Address {
    std::array<uint8_t, 16> bytes{};  // network order

    static std::optional<Address> parse(std::string_view text);

    bool is_v4() const;
    uint32_t v4() const;  // host order; only meaningful when is_v4()
    std::string text() const;

    auto operator<=>(const Address&) const = default;
};

struct Prefix {
    Address address;     // bits beyond the length are zero
    uint8_t length = 0;  // 0 to 128 in the mapped space

    // "10.0.0.0/8", "2001:db8::/32", or an address alone (its host prefix). Host bits are cleared.
    static std::optional<Prefix> parse(std::string_view text);

    bool is_v4() const { return length >= 96 && address.is_v4(); }
    bool is_host() const { return length == 128; }
    uint8_t text_length() const { return is_v4() ? static_cast<uint8_t>(length - 96) : length; }
    bool contains(const Address& other) const;
    std::string text() const;

    auto operator<=>(const Prefix&) const = default;
};

// An address on an interface with the length of the network it is on: "10.200.0.1/24" keeps its host bits.
struct InterfaceAddress {
    Address address;
    uint8_t length = 128;  // in the mapped space

    static std::optional<InterfaceAddress> parse(std::string_view text);
    Prefix network() const;
    std::string text() const;

    auto operator<=>(const InterfaceAddress&) const = default;
};

struct MacAddress {
    std::array<uint8_t, 6> bytes{};

    static std::optional<MacAddress> parse(std::string_view text);  // "02:00:00:00:00:01"
    bool is_group() const { return (bytes[0] & 1) != 0; }
    bool is_zero() const { return bytes == std::array<uint8_t, 6>{}; }
    std::string text() const;

    auto operator<=>(const MacAddress&) const = default;
};

// An address to listen on: "127.0.0.1:4100" or "[::1]:4100".
struct Endpoint {
    Address address;
    uint16_t port = 0;

    static std::optional<Endpoint> parse(std::string_view text);
    std::string text() const;

    auto operator<=>(const Endpoint&) const = default;
};

// The whole of `text` as a decimal number of at most `highest`; no sign, no blanks, no leading '+'.
std::optional<uint64_t> parse_number(std::string_view text, uint64_t highest);

}  // namespace sluice::config
