// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "dataplane/io/interception/nft_table.h"

namespace sluice {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

NftWish redirecting() {
    NftWish wish;
    wish.interception.emplace();
    wish.interception->inbound = 4143;
    wish.interception->outbound = 4140;
    return wish;
}

TEST(InterceptionTable, RedirectsWhatArrivesAndWhatLeaves) {
    const std::string text = nft_table_text("t", redirecting());
    EXPECT_TRUE(has(text, "fib daddr type local meta l4proto tcp redirect to :4143"));
    EXPECT_TRUE(has(text, "fib daddr type unicast meta l4proto tcp redirect to :4140"));
    EXPECT_TRUE(has(text, "hook output"));
    EXPECT_FALSE(has(text, "tproxy"));
    EXPECT_FALSE(has(text, "ct mark"));
}

TEST(InterceptionTable, LeavesTheProxysOwnConnectionsAndPortsAlone) {
    const std::string text = nft_table_text("t", redirecting());
    EXPECT_TRUE(has(text, "meta mark & 0x100000 == 0x100000 accept"));
    EXPECT_TRUE(has(text, "tcp dport { 4143, 4140 } accept"));
    const size_t asked = text.find("jump exceptions");
    EXPECT_LT(asked, text.find("redirect to"));
}

TEST(InterceptionTable, NamesWhatIsExcepted) {
    NftWish wish = redirecting();
    wish.interception->destinations = {{"10.0.0.0/8", "192.0.2.1"}, {"2001:db8::/32"}};
    wish.interception->sources.v4 = {"198.51.100.2"};
    wish.interception->ports = {{22, 22}, {9100, 9200}};
    const std::string text = nft_table_text("t", wish);
    EXPECT_TRUE(has(text, "elements = { 10.0.0.0/8, 192.0.2.1 }"));
    EXPECT_TRUE(has(text, "elements = { 2001:db8::/32 }"));
    EXPECT_TRUE(has(text, "elements = { 198.51.100.2 }"));
    EXPECT_TRUE(has(text, "elements = { 22-22, 9100-9200 }"));
}

TEST(InterceptionTable, UsesTproxyWhereSourcesAreKept) {
    NftWish wish = redirecting();
    wish.interception->transparent = true;
    const std::string text = nft_table_text("t", wish);
    EXPECT_TRUE(has(
        text,
        "fib daddr type local meta l4proto tcp tproxy to :4143 meta mark set meta mark | 0x200000 accept"));
    EXPECT_FALSE(has(text, "hook prerouting priority dstnat"));
    EXPECT_TRUE(has(text, "ct direction reply"));
}

TEST(InterceptionTable, ForTransparentServicesDeliversAnswersAndDoesNoMore) {
    NftWish wish;
    EXPECT_TRUE(wish.empty());
    wish.foreign_addresses = true;
    EXPECT_FALSE(wish.empty());
    const std::string text = nft_table_text("t", wish);
    EXPECT_TRUE(has(text, "socket transparent 1 socket wildcard 0"));
    EXPECT_FALSE(has(text, "tproxy"));
    EXPECT_FALSE(has(text, "ct "));
    EXPECT_TRUE(has(text, "flags owner"));
}

}  // namespace
}  // namespace sluice
