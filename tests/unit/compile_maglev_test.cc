// SPDX-License-Identifier: Apache-2.0
#include "control/compile/maglev.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

#include "dataplane/tables/image.h"

namespace sluice::compile {
namespace {

constexpr double ring_slots = MAGLEV_SIZE;

RingBackend backend(u32 number, u32 weight = 1) {
    const u32 host = 0x0a000000 + number;
    return {address_from_ipv4(to_be32(host)), static_cast<u16>(8000 + number % 7), weight};
}

std::vector<RingBackend> backends(u32 count, u32 weight = 1) {
    std::vector<RingBackend> all;
    for (u32 i = 0; i < count; ++i) all.push_back(backend(i, weight));
    return all;
}

std::vector<u32> slots_by_backend(const std::vector<u16>& ring, size_t count) {
    std::vector<u32> slots(count);
    for (const u16 position : ring) ++slots.at(position);
    return slots;
}

// How far the shares are from the weights, at most, in shares of the whole ring.
double worst_share(const std::vector<RingBackend>& all, const std::vector<u16>& ring) {
    double total = 0;
    for (const RingBackend& one : all) total += one.weight;
    const auto slots = slots_by_backend(ring, all.size());
    double worst = 0;
    for (size_t i = 0; i < all.size(); ++i) {
        worst =
            std::max(worst, std::abs(slots[i] - all[i].weight / total * static_cast<double>(ring.size())));
    }
    return worst / static_cast<double>(ring.size());
}

TEST(Maglev, EqualBackendsHoldEqualSharesToASlot) {
    for (const u32 count : {1U, 2U, 3U, 10U, 100U, 1000U}) {
        const auto slots = slots_by_backend(build_ring(backends(count), MAGLEV_SIZE), count);
        const auto [least, most] = std::minmax_element(slots.begin(), slots.end());
        EXPECT_LE(*most - *least, 1U) << count << " backends";
    }
}

u64 digest(const std::vector<u16>& ring) {  // FNV-1a
    u64 hash = 0xcbf29ce484222325;
    for (const u16 position : ring) hash = (hash ^ position) * 0x100000001b3;
    return hash;
}

// Nodes of different versions stand side by side and must send a flow to the same backend.
TEST(Maglev, RingsAreThoseOfEarlierVersions) {
    EXPECT_EQ(digest(build_ring(backends(10), MAGLEV_SIZE)), 0xabf076fc9ee50171);
    EXPECT_EQ(digest(build_ring(backends(10, 5), MAGLEV_SIZE)), 0xabf076fc9ee50171);
    std::vector<RingBackend> mixed = backends(9, 3);
    mixed[2].weight = 0;
    mixed[5].weight = 7;
    EXPECT_EQ(digest(build_ring(mixed, MAGLEV_SIZE)), 0xb197704d606ae0b4);
    mixed[5].weight = 3;  // equals, and one without
    EXPECT_EQ(digest(build_ring(mixed, MAGLEV_SIZE)), 0xa772fbb8d5bda609);
}

TEST(Maglev, SharesFollowWeightsWithinOnePercent) {
    std::mt19937 random(7);
    for (int round = 0; round < 20; ++round) {
        std::vector<RingBackend> all;
        const u32 count = 2 + random() % 200;
        for (u32 i = 0; i < count; ++i) all.push_back(backend(i, 1 + random() % 1000));
        const auto ring = build_ring(all, MAGLEV_SIZE);
        // A slot or two of rounding, far inside the percent, for each share and not only for the ring as a
        // whole.
        EXPECT_LE(worst_share(all, ring) * ring_slots, 2) << "round " << round;
    }
}

TEST(Maglev, BigWeightsAreRelativelyWithinOnePercent) {
    const std::vector<RingBackend> all = {backend(1, 10), backend(2, 20), backend(3, 70), backend(4, 1)};
    const auto slots = slots_by_backend(build_ring(all, MAGLEV_SIZE), all.size());
    for (size_t i = 0; i < all.size(); ++i) {
        const double expected = all[i].weight / 101.0 * ring_slots;
        EXPECT_NEAR(slots[i], expected, expected / 100) << i;
    }
}

double moved(const std::vector<RingBackend>& before, const std::vector<RingBackend>& after, u16 removed) {
    const auto one = build_ring(before, MAGLEV_SIZE);
    const auto two = build_ring(after, MAGLEV_SIZE);
    u32 others = 0;
    u32 changed = 0;
    for (size_t i = 0; i < one.size(); ++i) {
        if (one[i] == removed) continue;
        ++others;
        if (one[i] != two[i]) ++changed;
    }
    return static_cast<double>(changed) / others;
}

TEST(Maglev, RemovingOneMovesFewOfTheOthers) {
    for (const u32 count : {2U, 3U, 5U, 10U, 50U, 100U, 500U}) {
        const auto before = backends(count);
        for (const u32 removed : {0U, count / 2, count - 1}) {
            auto after = before;
            after[removed].weight = 0;  // positions stay, so rings compare
            EXPECT_LE(moved(before, after, static_cast<u16>(removed)), 1.0 / count + 0.02)
                << "1 of " << count;
        }
    }
}

TEST(Maglev, RemovingOneOfDifferentWeightsMovesFewOfTheOthers) {
    std::mt19937 random(3);
    std::vector<RingBackend> before;
    for (u32 i = 0; i < 20; ++i) before.push_back(backend(i, 1 + random() % 10));
    for (u16 removed = 0; removed < 20; ++removed) {
        auto after = before;
        after[removed].weight = 0;
        EXPECT_LE(moved(before, after, removed), 1.0 / 20 + 0.02) << removed;
    }
}

TEST(Maglev, OrderOfTheBackendsDoesNotMatter) {
    auto all = backends(30);
    for (u32 i = 0; i < 30; ++i) all[i].weight = 1 + i % 4;
    const auto ring = build_ring(all, MAGLEV_SIZE);
    auto shuffled = all;
    std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(5));
    const auto other = build_ring(shuffled, MAGLEV_SIZE);
    for (size_t i = 0; i < ring.size(); ++i) {
        ASSERT_TRUE(address_equal(&all[ring[i]].address, &shuffled[other[i]].address)) << "slot " << i;
    }
}

TEST(Maglev, NobodyWithAWeightLeavesTheRingEmpty) {
    for (const auto& all : {backends(0), backends(3, 0)}) {
        const auto ring = build_ring(all, MAGLEV_SIZE);
        EXPECT_EQ(std::count(ring.begin(), ring.end(), no_backend), MAGLEV_SIZE);
    }
}

TEST(Maglev, ZeroWeightGetsNoSlots) {
    auto all = backends(4);
    all[2].weight = 0;
    EXPECT_EQ(slots_by_backend(build_ring(all, MAGLEV_SIZE), 4)[2], 0U);
}

TEST(Maglev, AThousandBackendsTakeMilliseconds) {
    std::mt19937 random(1);
    auto all = backends(1000);
    for (RingBackend& one : all) one.weight = 1 + random() % 100;
    const auto start = std::chrono::steady_clock::now();
    const auto ring = build_ring(all, MAGLEV_SIZE);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    printf("ring of 1000 weighted backends: %.1f ms\n", took.count());
    EXPECT_EQ(std::count(ring.begin(), ring.end(), no_backend), 0);
}

}  // namespace
}  // namespace sluice::compile
