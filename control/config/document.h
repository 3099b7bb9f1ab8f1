// SPDX-License-Identifier: Apache-2.0
//
// A YAML file as a tree of nodes that know their places. Built from yaml-cpp's events rather than its nodes,
// because those keep only one of two equal keys, lose the places of keys, and expand aliases without bound.
//
// Refused: more than 16 MiB, NUL bytes or text that is not UTF-8, anchors and aliases, tags, nesting beyond
// 32, more than a million nodes, a second document.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/problems.h"

namespace sluice::config {

constexpr size_t max_document_bytes = size_t{16} << 20;
constexpr size_t max_document_depth = 32;
constexpr size_t max_document_nodes = 1'000'000;

struct Key {
    std::string text;
    uint32_t line = 0;
    uint32_t column = 0;
};

struct Node {
    enum class Kind : uint8_t { null, scalar, sequence, mapping };

    Kind kind = Kind::null;
    uint32_t line = 1;        // from 1
    uint32_t column = 1;      // from 1
    std::string text;         // of a scalar
    std::vector<Key> keys;    // of a mapping, one for each item
    std::vector<Node> items;  // of a sequence or mapping

    const Node* find(std::string_view key) const;  // in a mapping; nullptr: not there

    // How an error message quotes the node: its text, shortened and with control characters escaped; "[...]",
    // "{...}".
    std::string quoted() const;
};

// "services[2]" + "mode" -> "services[2].mode"; a key that is no plain word is quoted.
std::string join_path(std::string_view path, std::string_view key);

// The node at a path as join_path() and list indices build it ("services[2].mode"); nullptr: nothing is
// written there.
const Node* find_node(const Node& root, std::string_view path);

// The document in `text`, or nullptr with the reason in `problems`. Keys given twice are reported and both
// kept.
std::shared_ptr<const Node> parse_document(std::string_view text, Problems& problems);

}  // namespace sluice::config
