// SPDX-License-Identifier: Apache-2.0
#include "control/config/document.h"

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

std::string error_of(std::string_view text) {
    Problems problems("f");
    parse_document(text, problems);
    const Status status = problems.status();
    return status ? "" : status.error().message;
}

std::string repeated(std::string_view part, size_t times) {
    std::string text;
    for (size_t i = 0; i < times; ++i) text += part;
    return text;
}

TEST(ConfigDocument, NodesAndKeysKnowTheirPlacesFromOne) {
    Problems problems("f");
    const auto root = parse_document("a: 1\nb:\n  - { c: \"x\" }\n", problems);
    ASSERT_TRUE(root && problems.empty());
    const Node* c = find_node(*root, "b[0].c");
    ASSERT_NE(c, nullptr);
    EXPECT_EQ(c->text, "x");
    EXPECT_EQ(c->line, 3U);
    EXPECT_EQ(c->column, 10U);
    EXPECT_EQ(root->keys[1].line, 2U);
    EXPECT_EQ(root->keys[1].column, 1U);
    EXPECT_EQ(find_node(*root, "b[1].c"), nullptr);
    EXPECT_EQ(find_node(*root, "b[0].cc"), nullptr);
}

TEST(ConfigDocument, FindsKeysThatAreNoPlainWords) {
    Problems problems("f");
    const auto root = parse_document("s: { \"a.b[0]\": { k: v } }", problems);
    ASSERT_TRUE(root);
    const Node* found = find_node(*root, join_path(join_path("s", "a.b[0]"), "k"));
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->text, "v");
}

TEST(ConfigDocument, NothingInTheFileIsAnError) {
    for (const std::string_view text : {"", "\n\n", "# only a comment\n", "---\n", "~"}) {
        EXPECT_EQ(error_of(text), "f:1:1: nothing in it: expected at least \"version: 1\"") << text;
    }
}

TEST(ConfigDocument, BinaryIsAnErrorAtTheFirstBadByte) {
    EXPECT_EQ(error_of(std::string_view("version: 1\nlog\0", 15)),
              "f:2:4: byte 0x00: expected YAML as UTF-8 text");
    EXPECT_EQ(error_of("a: \xff\xfe"), "f:1:4: byte 0xff: expected YAML as UTF-8 text");
    EXPECT_EQ(error_of("a: \xc0\x80"), "f:1:4: byte 0xc0: expected YAML as UTF-8 text");      // overlong
    EXPECT_EQ(error_of("a: \xed\xa0\x80"), "f:1:4: byte 0xed: expected YAML as UTF-8 text");  // surrogate
    EXPECT_EQ(error_of("a: \xe2\x82"), "f:1:4: byte 0xe2: expected YAML as UTF-8 text");      // cut short
    EXPECT_EQ(error_of("a: \x1b[0m"), "f:1:4: byte 0x1b: expected YAML as UTF-8 text");
    EXPECT_EQ(error_of("a: gr\xc3\xbc\xc3\x9f \xf0\x9f\xa6\xa6"), "");
}

TEST(ConfigDocument, MoreThan16MiBIsRefusedUnread) {
    EXPECT_EQ(error_of(std::string(max_document_bytes + 1, 'a')),
              "f: 16777217 bytes: expected at most 16777216");
}

TEST(ConfigDocument, AKeyGivenTwiceNamesBothLines) {
    EXPECT_EQ(error_of("a: 1\nb: { c: 1, d: 2,\n c: 3 }\n"),
              "f:3:2: b.c: key given twice, first in line 2: expected it once");
    EXPECT_EQ(error_of("a: 1\na: 1\n"), "f:2:1: a: key given twice, first in line 1: expected it once");
}

TEST(ConfigDocument, AnchorsAliasesAndTagsAreRefused) {
    EXPECT_EQ(error_of("a: &x [1]\nb: *x\n"),
              "f:1:4: a: expected no anchor: anchors (&name) are not supported");
    EXPECT_EQ(error_of("a: !!int 1"),
              "f:1:4: a: expected no tag: tags (tag:yaml.org,2002:int) are not supported");
}

TEST(ConfigDocument, DeepNestingIsRefused) {
    EXPECT_EQ(error_of("a: " + repeated("[", 31) + repeated("]", 31)), "");
    EXPECT_EQ(error_of("a: " + repeated("[", 32) + repeated("]", 32)),
              "f:1:35: a" + repeated("[0]", 31) + ": expected at most 32 levels of nesting");
    EXPECT_NE(error_of(repeated("[", 1'000'000)), "");
    EXPECT_NE(error_of(repeated("{a: ", 100'000)), "");
    EXPECT_NE(error_of(repeated("- ", 1'000'000)), "");
}

TEST(ConfigDocument, TooManyValuesAreRefused) {
    EXPECT_EQ(error_of("[" + repeated("a,", max_document_nodes) + "]"),
              "f:1:2000000: [999999]: expected at most 1000000 values");
}

TEST(ConfigDocument, OddYamlIsAnErrorWithItsPlace) {
    EXPECT_EQ(error_of("a: 1\n---\nb: 2\n"), "f:3:1: a second document: expected one document in the file");
    EXPECT_EQ(error_of("{[a]: 1}"), "f:1:2: expected a single word as the key");
    EXPECT_EQ(error_of("a: b: c\n"), "f:1:5: expected YAML: illegal map value");
    EXPECT_EQ(error_of("a: [1, 2\n").substr(0, 4), "f:2:");
}

TEST(ConfigDocument, QuotedValuesAreShortAndPrintable) {
    Node node;
    node.kind = Node::Kind::scalar;
    node.text = std::string(100, 'x');
    EXPECT_EQ(node.quoted(), std::string(80, 'x') + "...");
    node.text = "a\nb";
    EXPECT_EQ(node.quoted(), "a\\x0ab");
    node.kind = Node::Kind::mapping;
    EXPECT_EQ(node.quoted(), "{}");
}

TEST(ConfigProblems, AfterTwentyOnlyTheirNumberIsSaid) {
    Problems problems("f");
    for (uint32_t i = 30; i > 0; --i) problems.add(i, 1, "k", "bad");
    const std::string text = problems.status().error().message;
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 20);
    EXPECT_TRUE(text.starts_with("f:11:1: k: bad\n")) << "in the file's order";
    EXPECT_TRUE(text.ends_with("\nf: 10 more errors"));
}

TEST(ConfigProblems, NearestTakesTyposAndNothingElse) {
    const std::vector<std::string> words = {"protocol", "ports", "source_ports", "nat"};
    EXPECT_EQ(nearest("protcol", words), "protocol");
    EXPECT_EQ(nearest("Ports", words), "ports");
    EXPECT_EQ(nearest("source-ports", words), "source_ports");
    EXPECT_EQ(nearest("nut", words), "nat");
    EXPECT_EQ(nearest("xyz", words), "");
    EXPECT_EQ(nearest("", words), "");
}

TEST(ConfigDocument, MegabytesOfBracketsAreRefusedAtOnce) {
    EXPECT_EQ(error_of("a: 1\nb: " + repeated("[", 10'000'000)),
              "f:2:1004: 1001 brackets are open: expected at most 32 levels of nesting");
    EXPECT_EQ(error_of(repeated("- [{ a: b }]\n", 2000)), "");
}

}  // namespace
}  // namespace sluice::config
