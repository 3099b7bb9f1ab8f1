// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <utility>

namespace sluice {
namespace {

bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, ClosesAtTheEndOfItsLife) {
    int raw = -1;
    {
        const UniqueFd fd(eventfd(0, 0));
        raw = fd.get();
        ASSERT_TRUE(is_open(raw));
    }
    EXPECT_FALSE(is_open(raw));
}

TEST(UniqueFd, MovingLeavesTheSourceEmptyAndClosesTheTarget) {
    UniqueFd first(eventfd(0, 0));
    UniqueFd second(eventfd(0, 0));
    const int kept = first.get();
    const int closed = second.get();
    second = std::move(first);
    EXPECT_EQ(second.get(), kept);
    EXPECT_TRUE(is_open(kept));
    EXPECT_FALSE(is_open(closed));
    EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move): what is left behind is the point
}

TEST(UniqueFd, ReleasedDescriptorStaysOpen) {
    UniqueFd fd(eventfd(0, 0));
    const int raw = fd.release();
    fd.reset();
    EXPECT_TRUE(is_open(raw));
    ::close(raw);
}

TEST(UniqueFd, ResetToItselfKeepsItOpen) {
    UniqueFd fd(eventfd(0, 0));
    fd.reset(fd.get());
    EXPECT_TRUE(is_open(fd.get()));
}

}  // namespace
}  // namespace sluice
