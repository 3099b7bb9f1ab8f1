// SPDX-License-Identifier: Apache-2.0
#include "control/config/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cctype>
#include <istream>
#include <numeric>
#include <optional>
#include <streambuf>
#include <tuple>
#include <utility>

#include "control/config/address.h"

namespace sluice::config {

namespace {

constexpr size_t max_quoted = 80;

// Thrown through yaml-cpp to stop it, caught in parse_document().
struct Refused {
    YAML::Mark mark;
    std::string path;
    std::string what;
};

class TreeBuilder final : public YAML::EventHandler {
public:
    explicit TreeBuilder(Problems& problems) : problems_(problems) {}

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        check(mark, "", anchor);
        Node node = started(mark, Node::Kind::null);
        if (expects_key()) refuse(mark, "expected a key before the colon");
        put(std::move(node));
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        refuse(mark, "expected the value itself: aliases (*name) are not supported");
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        check(mark, tag, anchor);
        Node node = started(mark, Node::Kind::scalar);
        node.text = value;
        if (expects_key()) {
            stack_.back().keys.push_back({value, node.line, node.column});
            return;
        }
        put(std::move(node));
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, Node::Kind::sequence);
    }
    void OnSequenceEnd() override { close(); }

    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, Node::Kind::mapping);
    }
    void OnMapEnd() override {
        report_duplicates(stack_.back());
        close();
    }

    std::optional<Node> take() { return std::exchange(root_, std::nullopt); }

private:
    // Is the innermost open node a mapping that has a value for each of its keys?
    bool expects_key() const {
        return !stack_.empty() && stack_.back().kind == Node::Kind::mapping &&
               stack_.back().keys.size() == stack_.back().items.size();
    }

    Node started(const YAML::Mark& mark, Node::Kind kind) {
        if (++nodes_ > max_document_nodes)
            refuse(mark, fmt::format("expected at most {} values", max_document_nodes));
        Node node;
        node.kind = kind;
        node.line = static_cast<uint32_t>(mark.line + 1);
        node.column = static_cast<uint32_t>(mark.column + 1);
        return node;
    }

    void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
        if (anchor != 0) refuse(mark, "expected no anchor: anchors (&name) are not supported");
        // yaml-cpp's own marks: "?" for a plain value, "!" for a quoted one.
        if (!tag.empty() && tag != "?" && tag != "!") {
            refuse(mark, fmt::format("expected no tag: tags ({}) are not supported", tag));
        }
    }

    void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Node::Kind kind) {
        check(mark, tag, anchor);
        if (expects_key()) refuse(mark, "expected a single word as the key");
        if (stack_.size() == max_document_depth) {
            refuse(mark, fmt::format("expected at most {} levels of nesting", max_document_depth));
        }
        stack_.push_back(started(mark, kind));
    }

    void close() {
        Node node = std::move(stack_.back());
        stack_.pop_back();
        put(std::move(node));
    }

    void put(Node node) {
        if (stack_.empty()) {
            root_ = std::move(node);
        } else {
            stack_.back().items.push_back(std::move(node));
        }
    }

    // Of the innermost open node.
    std::string path() const {
        std::string path;
        for (size_t i = 0; i + 1 < stack_.size(); ++i) {
            const Node& node = stack_[i];
            path = node.kind == Node::Kind::sequence ? fmt::format("{}[{}]", path, node.items.size())
                                                     : join_path(path, node.keys.back().text);
        }
        return path;
    }

    [[noreturn]] void refuse(const YAML::Mark& mark, std::string what) const {
        std::string place = path();
        if (!stack_.empty() && stack_.back().kind == Node::Kind::sequence) {
            place += fmt::format("[{}]", stack_.back().items.size());
        } else if (!stack_.empty() && !expects_key()) {
            place = join_path(place, stack_.back().keys.back().text);
        }
        throw Refused{mark, std::move(place), std::move(what)};
    }

    void report_duplicates(const Node& mapping) {
        std::vector<size_t> order(mapping.keys.size());
        std::iota(order.begin(), order.end(), size_t{0});
        const auto text = [&](size_t i) -> const std::string& { return mapping.keys[i].text; };
        std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return text(a) < text(b); });
        for (size_t i = 1; i < order.size(); ++i) {
            if (text(order[i]) != text(order[i - 1])) continue;
            const Key& again = mapping.keys[order[i]];
            problems_.add(again.line, again.column, join_path(path(), again.text),
                          fmt::format("key given twice, first in line {}: expected it once",
                                      mapping.keys[order[i - 1]].line));
        }
    }

    Problems& problems_;
    std::vector<Node> stack_;
    std::optional<Node> root_;
    size_t nodes_ = 0;
};

// A stream over text that is not copied.
struct ViewBuffer : std::streambuf {
    explicit ViewBuffer(std::string_view text) {
        char* begin = const_cast<char*>(text.data());  // only ever read: there is no put area
        setg(begin, begin, begin + text.size());
    }
};

struct BadByte {
    uint32_t line;
    uint32_t column;
    std::string what;
};

// Length of the UTF-8 sequence at the front of `text`; 0: none is valid there.
size_t utf8_length(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return 1;
    const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
    for (size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
    }
    const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
    const bool beyond = (lead == 0xed && byte(1) > 0x9f) || (lead == 0xf4 && byte(1) > 0x8f);
    return overlong || beyond ? 0 : length;
}

std::optional<BadByte> find_bad_byte(std::string_view text) {
    uint32_t line = 1;
    uint32_t column = 1;
    for (size_t i = 0; i < text.size();) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const size_t length = utf8_length(text.substr(i, 4));
        const bool control = (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f;
        if (length == 0 || control) return BadByte{line, column, fmt::format("byte 0x{:02x}", byte)};
        i += length;
        column += static_cast<uint32_t>(length);  // in bytes, as yaml-cpp counts
        if (byte == '\n') {
            ++line;
            column = 1;
        }
    }
    return std::nullopt;
}

// yaml-cpp reads a whole run of brackets before it tells of the first, in more than linear time: no sensible
// file has as many open ones. Those in comments and texts are taken along.
std::optional<BadByte> find_bracket_run(std::string_view text) {
    constexpr size_t most = 1000;
    const size_t at = [&] {
        size_t open = 0;
        for (size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '[' || text[i] == '{') ++open;
            if ((text[i] == ']' || text[i] == '}') && open > 0) --open;
            if (open > most) return i;
        }
        return text.size();
    }();
    if (at == text.size()) return std::nullopt;
    const std::string_view before = text.substr(0, at);
    const auto line = static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n'));
    const auto column = static_cast<uint32_t>(at - (before.rfind('\n') + 1));
    return BadByte{line + 1, column + 1, fmt::format("{} brackets are open", most + 1)};
}

}  // namespace

const Node* Node::find(std::string_view key) const {
    for (size_t i = 0; i < keys.size(); ++i) {
        if (keys[i].text == key) return &items[i];
    }
    return nullptr;
}

std::string Node::quoted() const {
    if (kind == Kind::sequence) return items.empty() ? "[]" : "[...]";
    if (kind == Kind::mapping) return items.empty() ? "{}" : "{...}";
    std::string shown;
    for (size_t i = 0; i < text.size();) {
        const size_t length = std::max<size_t>(1, utf8_length(std::string_view(text).substr(i, 4)));
        if (shown.size() + length > max_quoted) return shown + "...";
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte < 0x20) {
            shown += fmt::format("\\x{:02x}", byte);
        } else {
            shown += text.substr(i, length);
        }
        i += length;
    }
    return shown;
}

std::string join_path(std::string_view path, std::string_view key) {
    const bool plain = !key.empty() && key.size() <= 64 && std::all_of(key.begin(), key.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
    });
    Node quoted;
    quoted.kind = Node::Kind::scalar;
    quoted.text = key;
    const std::string shown = plain ? std::string(key) : fmt::format("\"{}\"", quoted.quoted());
    return path.empty() ? shown : fmt::format("{}.{}", path, shown);
}

namespace {

// The item of `node`, at `here`, that lies on the way to `path`, and where that is.
std::pair<const Node*, std::string> step(const Node& node, const std::string& here, std::string_view path) {
    const auto leads = [&](const std::string& next) {
        return path.starts_with(next) &&
               (path.size() == next.size() || path[next.size()] == '.' || path[next.size()] == '[');
    };
    if (node.kind == Node::Kind::sequence && path.substr(here.size()).starts_with('[')) {
        const std::string_view rest = path.substr(here.size() + 1);
        const auto index = parse_number(rest.substr(0, rest.find(']')), max_document_nodes);
        if (!index || *index >= node.items.size()) return {nullptr, here};
        return {&node.items[*index], fmt::format("{}[{}]", here, *index)};
    }
    for (size_t i = 0; i < node.keys.size(); ++i) {
        std::string next = join_path(here, node.keys[i].text);
        if (leads(next)) return {&node.items[i], std::move(next)};
    }
    return {nullptr, here};
}

}  // namespace

const Node* find_node(const Node& root, std::string_view path) {
    const Node* node = &root;
    std::string here;
    while (node != nullptr && here != path) std::tie(node, here) = step(*node, here, path);
    return node;
}

std::shared_ptr<const Node> parse_document(std::string_view text, Problems& problems) {
    if (text.size() > max_document_bytes) {
        problems.add(0, 0, "", fmt::format("{} bytes: expected at most {}", text.size(), max_document_bytes));
        return nullptr;
    }
    if (const auto bad = find_bad_byte(text)) {
        problems.add(bad->line, bad->column, "", fmt::format("{}: expected YAML as UTF-8 text", bad->what));
        return nullptr;
    }
    if (const auto run = find_bracket_run(text)) {
        problems.add(run->line, run->column, "",
                     fmt::format("{}: expected at most {} levels of nesting", run->what, max_document_depth));
        return nullptr;
    }
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    TreeBuilder builder(problems);
    try {
        YAML::Parser parser(stream);
        parser.HandleNextDocument(builder);
        std::optional<Node> root = builder.take();
        if (!root || root->kind == Node::Kind::null) {
            problems.add(1, 1, "", "nothing in it: expected at least \"version: 1\"");
            return nullptr;
        }
        if (parser.HandleNextDocument(builder)) {
            const auto second = builder.take();
            problems.add(second ? second->line : 1, second ? second->column : 1, "",
                         "a second document: expected one document in the file");
            return nullptr;
        }
        return std::make_shared<const Node>(std::move(*root));
    } catch (const Refused& refused) {
        problems.add(static_cast<uint32_t>(refused.mark.line + 1),
                     static_cast<uint32_t>(refused.mark.column + 1), refused.path, refused.what);
    } catch (const YAML::Exception& error) {
        problems.add(static_cast<uint32_t>(error.mark.line + 1), static_cast<uint32_t>(error.mark.column + 1),
                     "", fmt::format("expected YAML: {}", error.msg));
    }
    return nullptr;
}

}  // namespace sluice::config
