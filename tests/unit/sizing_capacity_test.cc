// SPDX-License-Identifier: Apache-2.0
#include "control/sizing/capacity.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice::control {
namespace {

// 100 Gbit/s of 1,000-byte packets are 12.5 M packets/s.
CapacityQuestion question() {
    CapacityQuestion q;
    q.peak_bits = 100e9;
    q.packet_bytes = 1000;
    q.node_packets = 2.5e6;
    return q;
}

TEST(Capacity, IsThePeakByWhatANodeCarriesAndOneToSpare) {
    const auto answer = capacity_of(question());
    ASSERT_TRUE(answer);
    EXPECT_DOUBLE_EQ(answer->peak_packets, 12.5e6);
    EXPECT_EQ(answer->needed, 5u);
    EXPECT_EQ(answer->nodes, 6u);
    EXPECT_DOUBLE_EQ(answer->load_when_failed, 1.0);
    EXPECT_NEAR(answer->load_when_well, 5.0 / 6, 1e-9);
}

TEST(Capacity, KeepsThePeakUnderTheWantedLoadWithoutTheSpareNodes) {
    CapacityQuestion q = question();
    q.load = 0.8;
    q.spare = 2;
    const auto answer = capacity_of(q);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->needed, 7u);  // 12.5 / 2.0 = 6.25
    EXPECT_EQ(answer->nodes, 9u);
    EXPECT_LE(answer->load_when_failed, 0.8);
}

TEST(Capacity, CountsFurtherCoresByTheirScaling) {
    CapacityQuestion q = question();
    q.cores = 4;
    q.scaling = 0.5;  // 2.5 M + 3 * 1.25 M
    const auto answer = capacity_of(q);
    ASSERT_TRUE(answer);
    EXPECT_DOUBLE_EQ(answer->node_packets, 6.25e6);
    EXPECT_EQ(answer->needed, 2u);
}

TEST(Capacity, IsBoundByTheLinksWhereTheyCarryLess) {
    CapacityQuestion q = question();
    q.cores = 100;
    q.node_bits = 10e9;
    const auto answer = capacity_of(q);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->links_bound);
    EXPECT_EQ(answer->needed, 10u);
}

TEST(Capacity, RefusesWhatCannotBe) {
    const std::pair<const char*, void (*)(CapacityQuestion&)> wrong[] = {
        {"no peak", [](CapacityQuestion& q) { q.peak_bits = 0; }},
        {"no rate", [](CapacityQuestion& q) { q.node_packets = 0; }},
        {"a peak without end", [](CapacityQuestion& q) { q.peak_bits = HUGE_VAL; }},
        {"more spare nodes than anybody has", [](CapacityQuestion& q) { q.spare = 10'001; }},
        {"no load", [](CapacityQuestion& q) { q.load = 0; }},
        {"a load over all", [](CapacityQuestion& q) { q.load = 1.1; }},
        {"tiny packets", [](CapacityQuestion& q) { q.packet_bytes = 20; }},
        {"more nodes than there are", [](CapacityQuestion& q) { q.node_packets = 1; }},
    };
    for (const auto& [name, spoil] : wrong) {
        CapacityQuestion q = question();
        spoil(q);
        EXPECT_FALSE(capacity_of(q)) << name;
    }
}

TEST(Quantity, TakesThousandsByTheirLetter) {
    EXPECT_DOUBLE_EQ(*quantity_of("100G"), 100e9);
    EXPECT_DOUBLE_EQ(*quantity_of("2.5M"), 2.5e6);
    EXPECT_DOUBLE_EQ(*quantity_of("800"), 800);
    for (const char* text : {"", "G", "10Q", "-3M", "1 G", "1GG", "nan", "inf", "1e308T"})
        EXPECT_FALSE(quantity_of(text)) << text;
}

}  // namespace
}  // namespace sluice::control
