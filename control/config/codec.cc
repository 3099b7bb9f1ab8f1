// SPDX-License-Identifier: Apache-2.0
#include "control/config/codec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace sluice::config {

namespace {

struct Unit {
    std::string_view suffix;
    uint64_t factor;
};
constexpr std::array<Unit, 4> duration_units = {{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};
constexpr std::array<Unit, 4> rate_multiples = {
    {{"", 1}, {"k", 1'000}, {"M", 1'000'000}, {"G", 1'000'000'000}}};
constexpr std::array<Unit, 3> rate_periods = {{{"s", 1}, {"m", 60}, {"h", 3600}}};

constexpr uint64_t most_per_period = 1'000'000'000'000;

// Splits "250ms" into its digits and the rest.
std::pair<std::string_view, std::string_view> split_unit(std::string_view text) {
    const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
    return {text.substr(0, end), text.substr(end)};
}

template <size_t N>
std::optional<uint64_t> factor_of(const std::array<Unit, N>& units, std::string_view suffix) {
    for (const Unit& unit : units) {
        if (unit.suffix == suffix) return unit.factor;
    }
    return std::nullopt;
}

bool printable(std::string_view text) {
    return std::none_of(text.begin(), text.end(),
                        [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

std::optional<PortRange> parse_range(std::string_view text, uint16_t lowest, uint16_t highest) {
    const size_t dash = text.find('-');
    const auto lo = parse_number(text.substr(0, dash), highest);
    const auto hi = dash == std::string_view::npos ? lo : parse_number(text.substr(dash + 1), highest);
    if (!lo || !hi || *lo < lowest || *hi < *lo) return std::nullopt;
    return PortRange{static_cast<uint16_t>(*lo), static_cast<uint16_t>(*hi)};
}

std::optional<std::string> accept_interface_name(std::string_view text) {
    const bool dots = text == "." || text == "..";
    if (text.empty() || text.size() > 15 || dots) return std::nullopt;
    if (text.find_first_of("/: \t") != std::string_view::npos || !printable(text)) return std::nullopt;
    return std::string(text);
}

}  // namespace

void Reader::wrong_value(const Node& node, std::string_view path, std::string_view expected,
                         const std::vector<std::string>& words) {
    const std::string hint = node.kind == Node::Kind::scalar ? suggestion(node.text, words) : "";
    problems_.add(node.line, node.column, path,
                  fmt::format("value \"{}\": expected {}{}", node.quoted(), expected, hint));
}

void Reader::unknown_key(const Key& key, std::string_view path, const std::vector<std::string>& known) {
    problems_.add(key.line, key.column, path,
                  fmt::format("unknown key: expected one of {}{}", fmt::join(known, ", "),
                              suggestion(key.text, known)));
}

void Reader::missing_key(const Node& mapping, std::string_view path, std::string_view expected) {
    problems_.add(mapping.line, mapping.column, path, fmt::format("missing: expected {}", expected));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find(separator, begin), text.size());
        std::string_view part = text.substr(begin, end - begin);
        part.remove_prefix(std::min(part.find_first_not_of(" \t"), part.size()));
        part.remove_suffix(part.size() - (part.find_last_not_of(" \t") + 1));
        parts.push_back(part);
        begin = end + 1;
    }
    return parts;
}

std::optional<PortRanges> parse_ranges(std::string_view text, uint16_t lowest, uint16_t highest) {
    PortRanges ranges;
    if (text.empty()) return ranges;
    for (const std::string_view part : split(text, ',')) {
        const auto range = parse_range(part, lowest, highest);
        if (!range) return std::nullopt;
        ranges.push_back(*range);
    }
    std::sort(ranges.begin(), ranges.end());
    PortRanges merged;
    for (const PortRange& range : ranges) {
        if (!merged.empty() && range.lo <= uint32_t{merged.back().hi} + 1) {
            merged.back().hi = std::max(merged.back().hi, range.hi);
        } else {
            merged.push_back(range);
        }
    }
    return merged;
}

std::optional<Duration> parse_duration(std::string_view text) {
    const auto [digits, suffix] = split_unit(text);
    const auto count = parse_number(digits, 1'000'000'000);
    const auto factor = factor_of(duration_units, suffix);
    if (!count || !factor) return std::nullopt;
    return Duration(static_cast<int64_t>(*count * *factor));
}

std::optional<double> parse_rate(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto [digits, multiple] = split_unit(text.substr(0, slash));
    const auto count = parse_number(digits, most_per_period);
    const auto factor = factor_of(rate_multiples, multiple);
    const auto period = factor_of(rate_periods, text.substr(slash + 1));
    if (!count || *count == 0 || !factor || !period || *count > most_per_period / *factor)
        return std::nullopt;
    return static_cast<double>(*count * *factor) / static_cast<double>(*period);
}

namespace shape {

std::string words(const std::vector<std::string>& words) {
    return fmt::format(R"({{"enum": ["{}"]}})", fmt::join(words, R"(", ")"));
}

std::string integer(uint64_t lowest, uint64_t highest) {
    return fmt::format(R"({{"type": "integer", "minimum": {}, "maximum": {}}})", lowest, highest);
}

std::string automatic(const std::string& inner) {
    return fmt::format(R"({{"anyOf": [{{"const": "auto"}}, {}]}})", inner);
}

std::string list(const std::string& inner, bool may_be_empty) {
    return fmt::format(R"({{"type": "array", "items": {}{}}})", inner,
                       may_be_empty ? "" : R"(, "minItems": 1)");
}

std::string named(const std::string& inner) {
    return fmt::format(R"({{"type": "object", "additionalProperties": {}}})", inner);
}

}  // namespace shape

Codec<bool> boolean() {
    Codec<bool> codec = one_of<bool>({{"true", true}, {"false", false}});
    codec.shape = shape::boolean;
    return codec;
}

Codec<Duration> duration(std::string_view lowest, std::string_view highest) {
    const Duration lo = *parse_duration(lowest);
    const Duration hi = *parse_duration(highest);
    auto parse = [lo, hi](std::string_view text) -> std::optional<Duration> {
        const auto value = parse_duration(text);
        if (!value || *value < lo || *value > hi) return std::nullopt;
        return value;
    };
    return scalar<Duration>(
        fmt::format("a duration from {} to {} with its unit (ms, s, m, h)", lowest, highest),
        std::move(parse));
}

Codec<double> rate() {
    return scalar<double>("a rate such as 100/s (or /m, /h; k, M and G multiply)", parse_rate);
}

Codec<std::string> name(size_t longest) {
    auto parse = [longest](std::string_view text) -> std::optional<std::string> {
        const bool blank_ends = !text.empty() && (text.front() == ' ' || text.back() == ' ');
        if (text.empty() || text.size() > longest || blank_ends || !printable(text)) return std::nullopt;
        return std::string(text);
    };
    return scalar<std::string>(fmt::format("a name of 1 to {} characters", longest), std::move(parse));
}

Codec<std::string> interface_name() {
    return scalar<std::string>("an interface's name of 1 to 15 characters without '/', ':' and blanks",
                               accept_interface_name);
}

Codec<std::string> file_path() {
    auto parse = [](std::string_view text) -> std::optional<std::string> {
        if (text.empty() || text.size() > 4095 || !printable(text)) return std::nullopt;
        return std::string(text);
    };
    return scalar<std::string>("a file's path, absolute or relative to this file's folder", std::move(parse));
}

Codec<std::string> absolute_path(size_t longest) {
    auto parse = [longest](std::string_view text) -> std::optional<std::string> {
        if (!text.starts_with('/') || text.size() > longest || !printable(text)) return std::nullopt;
        return std::string(text);
    };
    return scalar<std::string>(fmt::format("an absolute path of at most {} characters", longest),
                               std::move(parse));
}

Codec<std::string> any_text(std::string expected) {
    auto parse = [](std::string_view text) -> std::optional<std::string> {
        if (text.empty() || !printable(text)) return std::nullopt;
        return std::string(text);
    };
    return scalar<std::string>(std::move(expected), std::move(parse));
}

Codec<Address> address() { return scalar<Address>("an IPv4 or IPv6 address", Address::parse); }

Codec<Prefix> prefix() {
    return scalar<Prefix>("an IPv4 or IPv6 address or prefix such as 10.0.0.0/8", Prefix::parse);
}

Codec<Prefix> prefix_of_family(bool v4) {
    auto parse = [v4](std::string_view text) -> std::optional<Prefix> {
        const auto value = Prefix::parse(text);
        if (!value || value->is_v4() != v4) return std::nullopt;
        return value;
    };
    return scalar<Prefix>(v4 ? "an IPv4 address or prefix" : "an IPv6 address or prefix", std::move(parse));
}

Codec<InterfaceAddress> interface_address() {
    return scalar<InterfaceAddress>("an address with its prefix length such as 10.200.0.1/24",
                                    InterfaceAddress::parse);
}

Codec<MacAddress> mac_address() {
    auto parse = [](std::string_view text) -> std::optional<MacAddress> {
        const auto value = MacAddress::parse(text);
        if (!value || value->is_group() || value->is_zero()) return std::nullopt;
        return value;
    };
    return scalar<MacAddress>("a unicast MAC address such as 02:00:00:00:00:01", std::move(parse));
}

Codec<Endpoint> endpoint() {
    return scalar<Endpoint>("ADDRESS:PORT such as 0.0.0.0:8082 or [::]:8082", Endpoint::parse);
}

Codec<PortRanges> ranges(std::string what, uint16_t lowest, uint16_t highest, bool may_be_empty) {
    auto parse = [lowest, highest, may_be_empty](std::string_view text) -> std::optional<PortRanges> {
        if (text.empty() && !may_be_empty) return std::nullopt;
        return parse_ranges(text, lowest, highest);
    };
    return scalar<PortRanges>(fmt::format("{} from {} to {} such as \"8,10-20\"{}", what, lowest, highest,
                                          may_be_empty ? ", or nothing" : ""),
                              std::move(parse));
}

}  // namespace sluice::config
