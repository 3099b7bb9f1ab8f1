// SPDX-License-Identifier: Apache-2.0
#include "control/config/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace sluice::config {

namespace {

constexpr std::array<uint8_t, 12> mapped_head = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct Split {
    Address address;
    uint8_t length;
};

// ADDRESS or ADDRESS/LENGTH, host bits kept, length in the mapped space.
std::optional<Split> parse_with_length(std::string_view text) {
    const size_t slash = text.find('/');
    const auto address = Address::parse(text.substr(0, slash));
    if (!address) return std::nullopt;
    if (slash == std::string_view::npos) return Split{*address, 128};
    const auto length = parse_number(text.substr(slash + 1), address->is_v4() ? 32 : 128);
    if (!length) return std::nullopt;
    return Split{*address, static_cast<uint8_t>(*length + (address->is_v4() ? 96 : 0))};
}

Address masked(Address address, uint8_t length) {
    for (size_t i = 0; i < address.bytes.size(); ++i) {
        const int kept = std::clamp(static_cast<int>(length) - static_cast<int>(i) * 8, 0, 8);
        address.bytes[i] = static_cast<uint8_t>(address.bytes[i] & (0xff00 >> kept));
    }
    return address;
}

}  // namespace

std::optional<uint64_t> parse_number(std::string_view text, uint64_t highest) {
    uint64_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || failed != std::errc{} || end != text.data() + text.size() || value > highest)
        return std::nullopt;
    return value;
}

std::optional<Address> Address::parse(std::string_view text) {
    char buffer[INET6_ADDRSTRLEN];
    if (text.empty() || text.size() >= sizeof buffer) return std::nullopt;
    std::memcpy(buffer, text.data(), text.size());
    buffer[text.size()] = '\0';
    if (std::strlen(buffer) != text.size()) return std::nullopt;

    Address address;
    if (text.find(':') == std::string_view::npos) {
        std::copy(mapped_head.begin(), mapped_head.end(), address.bytes.begin());
        if (inet_pton(AF_INET, buffer, address.bytes.data() + 12) != 1) return std::nullopt;
        return address;
    }
    if (inet_pton(AF_INET6, buffer, address.bytes.data()) != 1 || address.is_v4()) return std::nullopt;
    return address;
}

bool Address::is_v4() const { return std::equal(mapped_head.begin(), mapped_head.end(), bytes.begin()); }

uint32_t Address::v4() const {
    return uint32_t{bytes[12]} << 24 | uint32_t{bytes[13]} << 16 | uint32_t{bytes[14]} << 8 | bytes[15];
}

std::string Address::text() const {
    char buffer[INET6_ADDRSTRLEN];
    const bool v4 = is_v4();
    inet_ntop(v4 ? AF_INET : AF_INET6, bytes.data() + (v4 ? 12 : 0), buffer, sizeof buffer);
    return buffer;
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
    const auto split = parse_with_length(text);
    if (!split) return std::nullopt;
    return Prefix{masked(split->address, split->length), split->length};
}

bool Prefix::contains(const Address& other) const {
    return is_v4() == other.is_v4() && masked(other, length) == address;
}

std::string Prefix::text() const { return fmt::format("{}/{}", address.text(), text_length()); }

std::optional<InterfaceAddress> InterfaceAddress::parse(std::string_view text) {
    const auto split = parse_with_length(text);
    if (!split) return std::nullopt;
    return InterfaceAddress{split->address, split->length};
}

Prefix InterfaceAddress::network() const { return {masked(address, length), length}; }

std::string InterfaceAddress::text() const {
    return fmt::format("{}/{}", address.text(), address.is_v4() ? length - 96 : length);
}

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
    MacAddress mac;
    if (text.size() != 17) return std::nullopt;
    for (size_t i = 0; i < mac.bytes.size(); ++i) {
        const char* digits = text.data() + i * 3;
        const auto [end, failed] = std::from_chars(digits, digits + 2, mac.bytes[i], 16);
        if (failed != std::errc{} || end != digits + 2) return std::nullopt;
        if (i + 1 < mac.bytes.size() && *end != ':') return std::nullopt;
    }
    return mac;
}

std::string MacAddress::text() const { return fmt::format("{:02x}", fmt::join(bytes, ":")); }

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    const auto address = Address::parse(host);
    const auto port = parse_number(text.substr(colon + 1), 65535);
    if (!address || !port || *port == 0 || address->is_v4() == bracketed) return std::nullopt;
    return Endpoint{*address, static_cast<uint16_t>(*port)};
}

std::string Endpoint::text() const {
    return fmt::format(fmt::runtime(address.is_v4() ? "{}:{}" : "[{}]:{}"), address.text(), port);
}

}  // namespace sluice::config
