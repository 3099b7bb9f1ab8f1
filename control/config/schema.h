// SPDX-License-Identifier: Apache-2.0
//
// A Schema<S> is the table of a section's keys: for each its name, member, kind of value, default and
// meaning. The reader, the error messages, docs/configuration.md and the JSON schema all come from it.
// Mistakes that no single key shows are validate.h's.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "control/config/codec.h"

namespace sluice::config {

// What the reference says about one key.
struct Field {
    std::string key;
    std::string expected;
    std::string fallback;  // default as it would be written; empty: see `required`
    std::string meaning;
    bool required = false;
    std::string around;               // Codec::around
    const Section* nested = nullptr;  // the mapping inside
    std::string shape;                // Codec::shape

    // Whether the model's default is the one that `fallback` states; for tests.
    std::function<bool()> fallback_holds;
};

struct Section {
    std::string about;
    std::vector<Field> fields;

    std::vector<std::string> keys() const {
        std::vector<std::string> keys;
        for (const Field& field : fields) keys.push_back(field.key);
        return keys;
    }
};

inline constexpr const char* required = nullptr;  // as a key's default: it has to be given
inline constexpr const char* none = "";           // as a key's default: it may be left out

template <typename S>
class Schema : public Section {
public:
    explicit Schema(std::string about_text) { about = std::move(about_text); }

    template <typename T>
    Schema& key(const char* name, T S::*member, Codec<T> codec, const char* fallback, const char* meaning) {
        Field field{name,         codec.expected,      fallback == nullptr ? "" : fallback,
                    meaning,      fallback == nullptr, codec.around,
                    codec.nested, codec.shape,         nullptr};
        field.fallback_holds = [member, codec, text = field.fallback] {
            if (text.empty()) return true;
            return holds(member, codec, text);
        };
        fields.push_back(std::move(field));
        readers_.push_back(
            [member, read = std::move(codec.read)](Reader& reader, const Node& node, const std::string& path,
                                                   S& out) { read(reader, node, path, out.*member); });
        return *this;
    }

    void read(Reader& reader, const Node& node, const std::string& path, S& out) const {
        if constexpr (requires { out.where; }) out.where = reader.mark(node, path);
        if (node.kind != Node::Kind::mapping) {
            reader.wrong_value(node, path,
                               fmt::format("a mapping with keys out of {}", fmt::join(keys(), ", ")));
            return;
        }
        std::vector<bool> given(fields.size());
        for (size_t i = 0; i < node.keys.size(); ++i) {
            const std::string inner = join_path(path, node.keys[i].text);
            const size_t at = index_of(node.keys[i].text);
            if (at == fields.size()) {
                reader.unknown_key(node.keys[i], inner, keys());
                continue;
            }
            if (given[at]) continue;  // reported when the document was parsed
            given[at] = true;
            readers_[at](reader, node.items[i], inner, out);
        }
        for (size_t i = 0; i < fields.size(); ++i) {
            if (fields[i].required && !given[i]) {
                reader.missing_key(node, join_path(path, fields[i].key), fields[i].expected);
            }
        }
    }

private:
    template <typename T>
    static bool holds(T S::*member, const Codec<T>& codec, const std::string& text) {
        Problems problems("default");
        Reader reader(problems);
        const auto node = parse_document(text, problems);
        if (node == nullptr) return false;
        S read_in{};
        codec.read(reader, *node, "", read_in.*member);
        return problems.empty() && read_in.*member == S{}.*member;
    }

    size_t index_of(std::string_view key) const {
        size_t i = 0;
        while (i < fields.size() && fields[i].key != key) ++i;
        return i;
    }

    std::vector<std::function<void(Reader&, const Node&, const std::string&, S&)>> readers_;
};

// A mapping inside. The schema has to live as long as the program.
template <typename S>
Codec<S> mapping(const Schema<S>& schema) {
    auto read = [&schema](Reader& reader, const Node& node, const std::string& path, S& out) {
        schema.read(reader, node, path, out);
    };
    return {"a mapping", {}, std::move(read), &schema, "", shape::section};
}

// Mappings by name.
template <typename S>
Codec<std::map<std::string, S>> named(const Schema<S>& schema, Codec<std::string> names) {
    auto read = [&schema, names](Reader& reader, const Node& node, const std::string& path,
                                 std::map<std::string, S>& out) {
        if (node.kind != Node::Kind::mapping) {
            reader.wrong_value(node, path, "a mapping of names to mappings");
            return;
        }
        for (size_t i = 0; i < node.keys.size(); ++i) {
            Node key;
            key.kind = Node::Kind::scalar;
            key.text = node.keys[i].text;
            key.line = node.keys[i].line;
            key.column = node.keys[i].column;
            std::string accepted;
            names.read(reader, key, join_path(path, key.text), accepted);
            if (!accepted.empty())
                schema.read(reader, node.items[i], join_path(path, key.text), out[accepted]);
        }
    };
    const std::string shape = shape::named(shape::section);
    return {"a mapping of names to mappings", {}, std::move(read), &schema, ".NAME", shape};
}

// The tables, one function for each section that others contain; schema_*.cc.
const Schema<Config>& config_schema();
const Schema<Interface>& interface_schema();
const Schema<Workers>& workers_schema();
const Schema<Policy>& policy_schema();
const Schema<Rule>& rule_schema();
const Schema<Service>& service_schema();
const Schema<TunnelEndpoint>& tunnel_endpoint_schema();
const Schema<Interception>& interception_schema();
const Schema<Route>& route_schema();
const Schema<Neighbor>& neighbor_schema();

}  // namespace sluice::config
