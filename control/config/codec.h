// SPDX-License-Identifier: Apache-2.0
//
// How values are read. A Codec<T> knows what its kind of value looks like (the words of the error message and
// of the reference) and reads a node into a T, reporting to the Reader what it does not like. The schema_*.cc
// tables name a codec for every key.
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/config/config.h"
#include "control/config/document.h"
#include "control/config/problems.h"

namespace sluice::config {

struct Section;

// JSON schemas, as text. `section` stands for the schema of the codec's nested section.
namespace shape {
inline constexpr const char* section = R"("$section")";
// YAML makes 80 a number where the reader takes the text "80".
inline constexpr const char* text = R"({"type": ["string", "number"]})";
inline constexpr const char* boolean = R"({"type": "boolean"})";
std::string words(const std::vector<std::string>& words);
std::string integer(uint64_t lowest, uint64_t highest);
std::string automatic(const std::string& inner);
std::string list(const std::string& inner, bool may_be_empty);
std::string named(const std::string& inner);
}  // namespace shape

// What one reading of a document shares: where problems go.
class Reader {
public:
    explicit Reader(Problems& problems) : problems_(problems) {}

    // PATH: value "VALUE": expected EXPECTED (did you mean "WORD"?), with a suggestion out of `words`.
    void wrong_value(const Node& node, std::string_view path, std::string_view expected,
                     const std::vector<std::string>& words = {});
    void unknown_key(const Key& key, std::string_view path, const std::vector<std::string>& known);
    void missing_key(const Node& mapping, std::string_view path, std::string_view expected);

    Mark mark(const Node& node, std::string path) const {
        return {problems_.file(), node.line, node.column, std::move(path)};
    }
    Problems& problems() { return problems_; }

private:
    Problems& problems_;
};

template <typename T>
struct Codec {
    using Read = std::function<void(Reader&, const Node&, const std::string& path, T& out)>;

    std::string expected;             // completes "expected ..."
    std::vector<std::string> words;   // the words it takes, for suggestions
    Read read;                        // leaves `out` alone, or partly filled, where it reports a problem
    const Section* nested = nullptr;  // the mapping inside, for the reference
    std::string around = "";          // "[]" for a list of mappings, ".NAME" for a mapping of mappings
    std::string shape = shape::text;  // of the value
};

template <typename T>
using Parse = std::function<std::optional<T>(std::string_view)>;

template <typename T>
Codec<T> scalar(std::string expected, Parse<T> parse, std::vector<std::string> words = {}) {
    auto read = [expected, parse, words](Reader& reader, const Node& node, const std::string& path, T& out) {
        if (node.kind == Node::Kind::scalar) {
            if (auto value = parse(node.text)) {
                out = std::move(*value);
                return;
            }
        }
        reader.wrong_value(node, path, expected, words);
    };
    return {std::move(expected), std::move(words), std::move(read), nullptr, "", shape::text};
}

// A word out of a fixed few.
template <typename T>
Codec<T> one_of(std::vector<std::pair<std::string, T>> choices) {
    std::string expected;
    std::vector<std::string> words;
    for (size_t i = 0; i < choices.size(); ++i) {
        expected += i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ";
        expected += choices[i].first;
        words.push_back(choices[i].first);
    }
    auto parse = [choices = std::move(choices)](std::string_view text) -> std::optional<T> {
        for (const auto& [word, value] : choices) {
            if (word == text) return value;
        }
        return std::nullopt;
    };
    std::string shape = shape::words(words);
    Codec<T> codec = scalar<T>(std::move(expected), std::move(parse), std::move(words));
    codec.shape = std::move(shape);
    return codec;
}

template <std::unsigned_integral T>
Codec<T> integer(uint64_t lowest, uint64_t highest) {
    auto parse = [lowest, highest](std::string_view text) -> std::optional<T> {
        const auto value = parse_number(text, highest);
        if (!value || *value < lowest) return std::nullopt;
        return static_cast<T>(*value);
    };
    Codec<T> codec = scalar<T>(lowest == highest ? fmt::format("{}", lowest)
                                                 : fmt::format("a number from {} to {}", lowest, highest),
                               std::move(parse));
    codec.shape = shape::integer(lowest, highest);
    return codec;
}

Codec<bool> boolean();
Codec<Duration> duration(std::string_view lowest,
                         std::string_view highest);  // bounds as they are written: "1ms"
Codec<double> rate();                                // "100/s", "10k/m"; per second
Codec<std::string> name(size_t longest = 63);        // what rules, services and sets are called
Codec<std::string> interface_name();
Codec<std::string> file_path();
Codec<std::string> absolute_path(size_t longest);
Codec<std::string> any_text(std::string expected);
Codec<Address> address();
Codec<Prefix> prefix();
Codec<Prefix> prefix_of_family(bool v4);
Codec<InterfaceAddress> interface_address();
Codec<MacAddress> mac_address();
Codec<Endpoint> endpoint();
Codec<PortRanges> ranges(std::string what, uint16_t lowest, uint16_t highest, bool may_be_empty = false);

// "80,443,8000-8100": ascending and merged; nothing for what is no such list. Empty text gives an empty list.
std::optional<PortRanges> parse_ranges(std::string_view text, uint16_t lowest, uint16_t highest);
std::optional<Duration> parse_duration(std::string_view text);
std::optional<double> parse_rate(std::string_view text);

// The parts of `text` between separators, blanks around them taken away.
std::vector<std::string_view> split(std::string_view text, char separator);

// "auto", which leaves the optional empty, or what the inner codec takes.
template <typename T>
Codec<std::optional<T>> automatic(Codec<T> inner) {
    Codec<std::optional<T>> codec{
        "auto or " + inner.expected,  inner.words, nullptr, inner.nested, inner.around,
        shape::automatic(inner.shape)};
    codec.words.push_back("auto");
    // The message has to offer both; only a list reports its own entries.
    codec.read = [inner, expected = codec.expected, words = codec.words](
                     Reader& reader, const Node& node, const std::string& path, std::optional<T>& out) {
        if (node.kind == Node::Kind::scalar && node.text == "auto") {
            out.reset();
            return;
        }
        if (node.kind == Node::Kind::sequence) {
            inner.read(reader, node, path, out.emplace());
            return;
        }
        Problems unheard(*reader.problems().file());
        Reader trial(unheard);
        inner.read(trial, node, path, out.emplace());
        if (!unheard.empty()) reader.wrong_value(node, path, expected, words);
    };
    return codec;
}

// A key that may be left out and has no default.
template <typename T>
Codec<std::optional<T>> optional(Codec<T> inner) {
    auto read = [inner](Reader& reader, const Node& node, const std::string& path, std::optional<T>& out) {
        inner.read(reader, node, path, out.emplace());
    };
    return {inner.expected, inner.words, std::move(read), inner.nested, inner.around, inner.shape};
}

enum class Empty : uint8_t { allowed, refused };

template <typename T>
Codec<std::vector<T>> list(Codec<T> inner, Empty empty = Empty::allowed) {
    const std::string expected = fmt::format("a list{} of entries that are each {}",
                                             empty == Empty::refused ? ", not empty," : "", inner.expected);
    auto read = [inner, expected, empty](Reader& reader, const Node& node, const std::string& path,
                                         std::vector<T>& out) {
        if (node.kind != Node::Kind::sequence || (empty == Empty::refused && node.items.empty())) {
            reader.wrong_value(node, path, expected);
            return;
        }
        out.clear();
        for (const Node& item : node.items) {
            const std::string inside = fmt::format("{}[{}]", path, out.size());
            inner.read(reader, item, inside, out.emplace_back());
        }
    };
    const char* const around = inner.nested == nullptr ? "" : "[]";
    return {expected,     inner.words, std::move(read),
            inner.nested, around,      shape::list(inner.shape, empty == Empty::allowed)};
}

}  // namespace sluice::config
