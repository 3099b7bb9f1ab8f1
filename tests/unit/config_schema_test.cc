// SPDX-License-Identifier: Apache-2.0
//
// Every key wrong once, generated from the tables: the sample that states all keys is written out anew with
// one value replaced, one key misspelt or one left out, and the error has to name exactly that place.
#include "control/config/schema.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "control/config/file.h"
#include "control/config/loader.h"

namespace sluice::config {
namespace {

const std::string example_path = SLUICE_SOURCE_ROOT "/config/sluice.example.yaml";

// What the example leaves out.
constexpr std::string_view rest_of_keys = R"(
version: 1
interfaces:
  - { name: eth0, tiers: [xdp, af_xdp], queues: 2, mac: "02:00:00:00:00:01", mtu: 1500, addresses: [10.0.0.1/8] }
policy:
  rules:
    - { name: a, vlan: 5, dscp: 46, service: s, action: rate_limit, rate: { bytes: 1M/s } }
    - { name: b, action: evaluate, when: { new_connections: 10/s, overload: allow, authorizer: { url: "http://10.0.0.5/v1/data/allow",
        timeout: 100ms, on_failure: allow, cache: 1m } } }
    - { name: c, protocol: tcp, dry_run: true, action: drop,
        except: { from: [10.0.0.0/8], to: ["::/0"], ports: "22", source_ports: "53" } }
services:
  - { name: s, vip: 10.1.0.0/16, protocol: sctp, ports: any, backends: [] }
tunnels: [{ type: ipip, address: 172.16.0.9 }]
routes:
  - { prefix: 10.9.0.0/16, next_hops: [{ via: 10.0.0.2, mac: "02:00:00:00:00:02", interface: eth0, weight: 2 }] }
interception: { transparent: true, bypass: { destinations: [10.0.0.0/8], ports: "22", sources: ["::/0"] } }
)";

struct Place {
    uint32_t line = 1;
    uint32_t column = 1;
};

// Writes a tree as YAML in flow style, one entry per line, with one change at `target`.
class Writer {
public:
    enum class Change : uint8_t { none, value, misspelt, left_out };

    Writer(std::string target, Change change, std::string value = "")
        : target_(std::move(target)), change_(change), value_(std::move(value)) {}

    std::string write(const Node& root) {
        put(root, "");
        return text_;
    }
    Place place() const { return place_; }

private:
    void add(std::string_view text) { text_ += text; }
    Place here() const {
        const size_t newline = text_.rfind('\n');
        const size_t start = newline == std::string::npos ? 0 : newline + 1;
        return {static_cast<uint32_t>(std::count(text_.begin(), text_.end(), '\n') + 1),
                static_cast<uint32_t>(text_.size() - start + 1)};
    }

    void put(const Node& node, const std::string& path) {
        const bool hit = path == target_;
        if (hit) place_ = here();
        if (hit && change_ == Change::value) {
            add(value_);
        } else if (node.kind == Node::Kind::sequence) {
            add("[");
            for (size_t i = 0; i < node.items.size(); ++i) {
                add(i == 0 ? "\n" : ",\n");
                put(node.items[i], fmt::format("{}[{}]", path, i));
            }
            add("]");
        } else if (node.kind == Node::Kind::mapping) {
            put_mapping(node, path);
        } else {
            add("\"" + node.text + "\"");
        }
    }

    void put_mapping(const Node& node, const std::string& path) {
        const Place start = here();
        add("{");
        bool first = true;
        for (size_t i = 0; i < node.keys.size(); ++i) {
            const std::string inner = join_path(path, node.keys[i].text);
            if (inner == target_ && change_ == Change::left_out) {
                place_ = start;
                continue;
            }
            add(first ? "\n" : ",\n");
            first = false;
            const bool misspelt = inner == target_ && change_ == Change::misspelt;
            const Place key = here();
            add(fmt::format("\"{}{}\": ", node.keys[i].text, misspelt ? "x" : ""));
            put(node.items[i], inner);
            if (misspelt) place_ = key;
        }
        add("}");
    }

    std::string target_;
    Change change_;
    std::string value_;
    std::string text_;
    Place place_;
};

struct Visited {
    std::string path;
    std::string general;  // entries as [], names of sets as NAME
    Node::Kind kind;
    bool is_key;  // a key of a section, not an entry or a set's name
};

void collect(const Node& node, const std::string& path, const std::string& general,
             std::vector<Visited>& out) {
    for (size_t i = 0; i < node.items.size(); ++i) {
        const bool entry = node.kind == Node::Kind::sequence;
        const bool named = general == "policy.sets";
        const std::string inner = entry ? fmt::format("{}[{}]", path, i) : join_path(path, node.keys[i].text);
        const std::string inner_general = entry ? general + "[]"
                                                : join_path("", named ? "NAME" : node.keys[i].text)
                                                      .insert(0, general.empty() ? "" : general + ".");
        out.push_back({inner, inner_general, node.items[i].kind, !entry && !named});
        collect(node.items[i], inner, inner_general, out);
    }
}

struct Documented {
    std::set<std::string> all;
    std::set<std::string> required;
};

void collect(const Section& section, const std::string& path, Documented& out) {
    for (const Field& field : section.fields) {
        const std::string inner = path.empty() ? field.key : path + "." + field.key;
        out.all.insert(inner);
        if (field.required) out.required.insert(inner);
        if (field.nested != nullptr) collect(*field.nested, inner + field.around, out);
    }
}

class EveryKey : public testing::Test {
protected:
    void SetUp() override {
        Problems problems("f");
        const auto text = read_text_file(example_path, max_document_bytes);
        ASSERT_TRUE(text) << text.error().message;
        documents_ = {parse_document(*text, problems), parse_document(rest_of_keys, problems)};
        ASSERT_TRUE(problems.empty()) << problems.status().error().message;
        collect(config_schema(), "", documented_);
    }

    static std::string error_of(const std::string& text) {
        const auto config = load_text(text, SLUICE_SOURCE_ROOT "/config/f");
        return config ? "" : config.error().message;
    }

    static std::string start_of_error(const Place& place, const std::string& path) {
        return fmt::format(SLUICE_SOURCE_ROOT "/config/f:{}:{}: {}: ", place.line, place.column, path);
    }

    std::vector<std::shared_ptr<const Node>> documents_;
    Documented documented_;
};

TEST_F(EveryKey, IsInTheSamplesAndTheTables) {
    std::set<std::string> seen;
    for (const auto& document : documents_) {
        std::vector<Visited> visited;
        collect(*document, "", "", visited);
        for (const Visited& each : visited) {
            if (each.is_key) seen.insert(each.general);
        }
        EXPECT_EQ(error_of(Writer("", Writer::Change::none).write(*document)), "");
    }
    EXPECT_EQ(seen, documented_.all);
}

TEST_F(EveryKey, WithAWrongValueIsOneErrorAtThatValue) {
    for (const auto& document : documents_) {
        std::vector<Visited> visited;
        collect(*document, "", "", visited);
        for (const Visited& each : visited) {
            const bool scalar = each.kind == Node::Kind::scalar;
            for (const std::string wrong : {scalar ? "{ wrong: 1 }" : "\"wrong\"", "\"\\x01\"", "~"}) {
                Writer writer(each.path, Writer::Change::value, wrong);
                const std::string error = error_of(writer.write(*document));
                EXPECT_TRUE(error.starts_with(start_of_error(writer.place(), each.path) + "value \""))
                    << each.path << " = " << wrong << " gives: " << error;
                EXPECT_NE(error.find("\": expected "), std::string::npos) << error;
                EXPECT_EQ(error.find('\n'), std::string::npos) << error;
            }
        }
    }
}

TEST_F(EveryKey, MisspeltIsAnErrorAtTheKeyThatOffersTheRightOne) {
    for (const auto& document : documents_) {
        std::vector<Visited> visited;
        collect(*document, "", "", visited);
        for (const Visited& each : visited) {
            if (!each.is_key) continue;
            Writer writer(each.path, Writer::Change::misspelt);
            const std::string error = error_of(writer.write(*document));
            const std::string start =
                start_of_error(writer.place(), each.path + "x") + "unknown key: expected one of ";
            const std::string end =
                fmt::format(" (did you mean \"{}\"?)", each.path.substr(each.path.rfind('.') + 1));
            EXPECT_NE(error.find(start), std::string::npos) << each.path << ": " << error;
            EXPECT_NE(error.find(end), std::string::npos) << each.path << ": " << error;
        }
    }
}

TEST_F(EveryKey, ThatIsRequiredIsMissedWhereItsSectionStarts) {
    std::set<std::string> tried;
    for (const auto& document : documents_) {
        std::vector<Visited> visited;
        collect(*document, "", "", visited);
        for (const Visited& each : visited) {
            if (!documented_.required.contains(each.general)) continue;
            tried.insert(each.general);
            Writer writer(each.path, Writer::Change::left_out);
            const std::string error = error_of(writer.write(*document));
            EXPECT_TRUE(error.starts_with(start_of_error(writer.place(), each.path) + "missing: expected "))
                << each.path << ": " << error;
            EXPECT_EQ(error.find('\n'), std::string::npos) << error;
        }
    }
    EXPECT_EQ(tried, documented_.required);
}

void check_defaults(const Section& section, const std::string& path) {
    for (const Field& field : section.fields) {
        EXPECT_TRUE(field.fallback_holds())
            << path << "." << field.key << ": the model's default is not " << field.fallback;
        EXPECT_FALSE(field.meaning.empty()) << path << "." << field.key;
        if (field.nested != nullptr) check_defaults(*field.nested, path + "." + field.key);
    }
}

TEST(ConfigSchema, DocumentedDefaultsAreTheModels) { check_defaults(config_schema(), ""); }

}  // namespace
}  // namespace sluice::config
