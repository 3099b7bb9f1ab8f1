// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/af_xdp/umem.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace sluice {
namespace {

TEST(Umem, HandsOutEveryBufferOnceAndTakesItBackByAnyAddressInIt) {
    auto umem = Umem::create({.frames = 16, .frame_size = 2048, .huge_pages = false});
    ASSERT_TRUE(umem) << umem.error().message;
    std::array<u64, 20> addresses;
    ASSERT_EQ((*umem)->take(addresses.data(), 20), 16u);
    EXPECT_EQ((*umem)->free_count(), 0u);
    EXPECT_EQ((*umem)->take(addresses.data(), 1), 0u);
    const std::set<u64> distinct(addresses.begin(), addresses.begin() + 16);
    EXPECT_EQ(distinct.size(), 16u);
    EXPECT_EQ(*distinct.rbegin(), 15u * 2048);
    (*umem)->give(5 * 2048 + 300);
    ASSERT_EQ((*umem)->take(addresses.data(), 1), 1u);
    EXPECT_EQ(addresses[0], 5u * 2048);
}

TEST(Umem, RefusesSizesThatTheKernelOrTheTagsCannotTake) {
    EXPECT_EQ(Umem::create({.frames = 16, .frame_size = 1000, .huge_pages = false}).error().message,
              "UMEM: frame size 1000: expected a power of two, 2048 to 16384");
    EXPECT_EQ(Umem::create({.frames = 0, .frame_size = 4096, .huge_pages = false}).error().message,
              "UMEM: 0 frames of 4096 bytes: expected 1 byte to 4 GiB in all");
    EXPECT_FALSE(Umem::create({.frames = (1u << 20) + 1, .frame_size = 4096, .huge_pages = false}));
}

}  // namespace
}  // namespace sluice
