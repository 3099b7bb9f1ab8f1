// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <random>

#include "dataplane/io/sk_lookup/socket_lookup.h"

namespace sluice {
namespace {

LookupPrefix prefix(u32 ipv4, u8 length, u8 protocol = 6) {
    return {protocol, address_from_ipv4_word(__builtin_bswap32(ipv4)), static_cast<u8>(96 + length)};
}

bool has(const LookupTable& table, const LookupPrefix& key, u32 port) {
    const listener_ports& ports = table.port_sets.at(table.prefixes.at(key));
    return (ports.bits[port / 64] >> port % 64 & 1) != 0;
}

TEST(SkLookupPrefix, CoversWhatLiesInsideOfTheSameProtocolAlone) {
    EXPECT_TRUE(prefix(0xc0000200, 28).covers(prefix(0xc000020f, 32)));
    EXPECT_TRUE(prefix(0xc0000200, 28).covers(prefix(0xc0000200, 28)));
    EXPECT_FALSE(prefix(0xc0000200, 28).covers(prefix(0xc0000210, 32)));
    EXPECT_FALSE(prefix(0xc000020f, 32).covers(prefix(0xc0000200, 28)));
    EXPECT_FALSE(prefix(0xc0000200, 28).covers(prefix(0xc000020f, 32, 17)));
}

TEST(SkLookupTable, GivesAPrefixThePortsOfThoseAroundIt) {
    const LookupPrefix wide = prefix(0xc0000200, 28);
    const LookupPrefix host = prefix(0xc0000203, 32);
    const LookupPrefix other = prefix(0xc6336400, 24);
    const LookupTable table =
        lookup_table({{wide, {{1000, 1999}}}, {host, {{80, 80}}}, {other, {{65535, 65535}}}});
    EXPECT_TRUE(has(table, host, 80));
    EXPECT_TRUE(has(table, host, 1500));
    EXPECT_FALSE(has(table, wide, 80));
    EXPECT_FALSE(has(table, host, 2000));
    EXPECT_TRUE(has(table, other, 65535));
    EXPECT_FALSE(has(table, other, 1000));
}

TEST(SkLookupTable, HoldsTheSamePortsOnce) {
    LookupClaims claims;
    for (u32 i = 0; i < 500; ++i) claims[prefix(0x0a000000 + i, 32)] = {{443, 443}, {8000, 8000 + 100}};
    const LookupTable table = lookup_table(claims);
    EXPECT_EQ(table.prefixes.size(), 500U);
    EXPECT_EQ(table.port_sets.size(), 1U);
}

TEST(SkLookupTable, AgreesWithASearchThroughAllClaims) {
    std::mt19937 random(7);
    LookupClaims claims;
    for (u32 i = 0; i < 60; ++i) {
        const u8 length = static_cast<u8>(24 + random() % 9);
        const u32 mask = 0xffffffffU << (32 - length);
        const u16 first = static_cast<u16>(1 + random() % 2000);
        claims[prefix((0x0a000000 + random() % 1024) & mask, length)] = {
            {first, static_cast<u16>(first + random() % 200)}};
    }
    const LookupTable table = lookup_table(claims);
    for (const auto& [key, own] : claims) {
        for (u32 port = 0; port < 2300; port += 7) {
            bool expected = false;
            for (const auto& [other, spans] : claims)
                expected |= other.covers(key) && port >= spans[0].first && port <= spans[0].last;
            EXPECT_EQ(has(table, key, port), expected) << port;
        }
    }
}

}  // namespace
}  // namespace sluice
