// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/header.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

namespace sluice::proxy {

namespace {

constexpr u8 signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
constexpr std::string_view word_v1 = "PROXY ";
constexpr u32 fixed_bytes = 16;  // of version 2: signature, version and command, family, length
constexpr u32 addresses_v4 = 12;
constexpr u32 addresses_v6 = 36;

enum Command : u8 { command_local = 0, command_proxy = 1 };
enum Family : u8 { family_v4 = 1, family_v6 = 2, family_unix = 3 };
enum Transport : u8 { transport_stream = 1, transport_datagram = 2 };

HeaderResult malformed(const char* why) { return {Parsed::malformed, 0, {}, why}; }

bool begins_like(std::span<const u8> bytes, const void* pattern, size_t length) {
    return std::memcmp(bytes.data(), pattern, std::min(bytes.size(), length)) == 0;
}

u16 word_at(const u8* at) { return static_cast<u16>(at[0] << 8 | at[1]); }

// Decimal without sign, blanks or leading zeroes, as section 2.1 has it.
bool parse_port(std::string_view text, u16& port) {
    if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return false;
    u32 value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    port = static_cast<u16>(value);
    return error == std::errc() && end == text.data() + text.size() && value <= 65535;
}

bool parse_address(std::string_view text, bool v4, struct address& out) {
    const std::string copy(text);
    if (v4) {
        u32 word = 0;
        if (inet_pton(AF_INET, copy.c_str(), &word) != 1) return false;
        out = address_from_ipv4_word(word);
        return true;
    }
    return inet_pton(AF_INET6, copy.c_str(), &out) == 1;
}

// The next word up to one blank, or to the end for the last one.
bool take_word(std::string_view& line, bool last, std::string_view& word) {
    const size_t blank = line.find(' ');
    if ((blank == std::string_view::npos) != last) return false;
    word = line.substr(0, blank);
    line.remove_prefix(last ? line.size() : blank + 1);
    return !word.empty();
}

HeaderResult parse_v1(std::span<const u8> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                                std::min<size_t>(bytes.size(), longest_header_v1));
    const size_t end = text.find("\r\n");
    if (end == std::string_view::npos)
        return bytes.size() >= longest_header_v1 ? malformed("version 1: no end of line") : HeaderResult{};
    HeaderResult result;
    result.state = Parsed::complete;
    result.length = static_cast<u32>(end + 2);
    std::string_view line = text.substr(word_v1.size(), end - word_v1.size());
    if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) {
        result.header.local = true;
        return result;
    }
    const bool v4 = line.starts_with("TCP4 ");
    if (!v4 && !line.starts_with("TCP6 ")) return malformed("version 1: neither TCP4, TCP6 nor UNKNOWN");
    line.remove_prefix(5);
    std::string_view words[4];
    for (int i = 0; i < 4; ++i) {
        if (!take_word(line, i == 3, words[i]))
            return malformed("version 1: not two addresses and two ports");
    }
    if (!parse_address(words[0], v4, result.header.source.address) ||
        !parse_address(words[1], v4, result.header.destination.address))
        return malformed("version 1: not an address");
    if (!parse_port(words[2], result.header.source.port) ||
        !parse_port(words[3], result.header.destination.port))
        return malformed("version 1: not a port");
    return result;
}

// Type, length and value, one after the other, up to the end exactly (section 2.2.1).
bool extensions_are_whole(std::span<const u8> bytes) {
    while (!bytes.empty()) {
        if (bytes.size() < 3) return false;
        const size_t length = 3U + word_at(&bytes[1]);
        if (length > bytes.size()) return false;
        bytes = bytes.subspan(length);
    }
    return true;
}

HeaderResult parse_addresses(std::span<const u8> body, u8 family, HeaderResult result) {
    const u32 size = family == family_v4 ? addresses_v4 : addresses_v6;
    if (body.size() < size) return malformed("version 2: shorter than its addresses");
    Header& header = result.header;
    if (family == family_v4) {
        u32 words[2];
        std::memcpy(words, body.data(), sizeof words);
        header.source.address = address_from_ipv4_word(words[0]);
        header.destination.address = address_from_ipv4_word(words[1]);
    } else {
        std::memcpy(&header.source.address, body.data(), 16);
        std::memcpy(&header.destination.address, body.data() + 16, 16);
    }
    header.source.port = word_at(&body[size - 4]);
    header.destination.port = word_at(&body[size - 2]);
    const auto rest = body.subspan(size);
    if (!extensions_are_whole(rest)) return malformed("version 2: extensions cut short");
    header.extensions.assign(rest.begin(), rest.end());
    return result;
}

HeaderResult parse_v2(std::span<const u8> bytes) {
    if (bytes.size() > 12 && bytes[12] >> 4 != 2) return malformed("version 2: another version");
    if (bytes.size() > 12 && (bytes[12] & 15) > command_proxy) return malformed("version 2: unknown command");
    if (bytes.size() > 13 && (bytes[13] >> 4 > family_unix || (bytes[13] & 15) > transport_datagram))
        return malformed("version 2: unknown family or transport");
    if (bytes.size() < fixed_bytes) return {};
    const u32 length = word_at(&bytes[14]);
    if (fixed_bytes + length > longest_header) return malformed("version 2: longer than is taken");
    if (bytes.size() < fixed_bytes + length) return {};
    HeaderResult result;
    result.state = Parsed::complete;
    result.length = fixed_bytes + length;
    const u8 family = bytes[13] >> 4;
    if ((bytes[12] & 15) == command_local || family == 0) {
        result.header.local = true;
        return result;
    }
    if (family == family_unix) return malformed("version 2: a unix address");
    if ((bytes[13] & 15) == 0) return malformed("version 2: no transport");
    return parse_addresses(bytes.subspan(fixed_bytes, length), family, std::move(result));
}

void append_word(std::string& out, u16 value) {
    out += static_cast<char>(value >> 8);
    out += static_cast<char>(value & 255);
}

void append_address(std::string& out, const struct address& address, bool v4) {
    const char* bytes = reinterpret_cast<const char*>(&address);
    v4 ? out.append(bytes + 12, 4) : out.append(bytes, 16);
}

std::string address_text(const Endpoint& endpoint, bool v4) {
    char buffer[INET6_ADDRSTRLEN] = "";
    const char* bytes = reinterpret_cast<const char*>(&endpoint.address);
    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? bytes + 12 : bytes, buffer, sizeof buffer);
    return buffer;
}

}  // namespace

HeaderResult parse_header(std::span<const u8> bytes) {
    if (bytes.empty()) return {};
    if (begins_like(bytes, signature, sizeof signature))
        return bytes.size() < sizeof signature ? HeaderResult{} : parse_v2(bytes);
    if (begins_like(bytes, word_v1.data(), word_v1.size()))
        return bytes.size() < word_v1.size() ? HeaderResult{} : parse_v1(bytes);
    return malformed("no PROXY header");
}

std::string compose_header(HeaderVersion version, u8 protocol, const Endpoint& source,
                           const Endpoint& destination, std::span<const u8> extensions) {
    // One family for both: an IPv4 end beside an IPv6 one goes as an IPv4-mapped address.
    const bool v4 = source.is_v4() && destination.is_v4();
    if (version == HeaderVersion::v1)
        return fmt::format("PROXY {} {} {} {} {}\r\n", v4 ? "TCP4" : "TCP6", address_text(source, v4),
                           address_text(destination, v4), source.port, destination.port);
    if (version == HeaderVersion::none) return "";
    std::string out(reinterpret_cast<const char*>(signature), sizeof signature);
    out += static_cast<char>(0x20 | command_proxy);
    const u8 transport = protocol == IPPROTO_TCP ? transport_stream : transport_datagram;
    out += static_cast<char>((v4 ? family_v4 : family_v6) << 4 | transport);
    append_word(out, static_cast<u16>((v4 ? addresses_v4 : addresses_v6) + extensions.size()));
    append_address(out, source.address, v4);
    append_address(out, destination.address, v4);
    append_word(out, source.port);
    append_word(out, destination.port);
    out.append(reinterpret_cast<const char*>(extensions.data()), extensions.size());
    return out;
}

}  // namespace sluice::proxy
