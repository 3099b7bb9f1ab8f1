// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "dataplane/worker/capture_tap.h"
#include "dataplane/worker/engine.h"

namespace sluice {
namespace {

class Tap : public testing::Test {
protected:
    Tap() {
        for (size_t i = 0; i < frames_.size(); ++i) {
            memory_[i].fill(static_cast<u8>(i));
            frames_[i].data = memory_[i].data();
            frames_[i].end = frames_[i].data + memory_[i].size();
            frames_[i].ifindex = 5;
        }
    }

    // As an engine does it that writes to every frame.
    void run(std::span<const Frame> frames, u32 word) {
        if (!tap_.on()) return;
        tap_.begin(frames, 99);
        for (std::array<u8, 64>& bytes : memory_) bytes[0] = 0xff;
        std::array<Decision, 32> decisions;
        for (Decision& decision : decisions) decision.word = word, decision.port = 3;
        tap_.end(frames, decisions.data());
    }

    struct Seen {
        Captured packet;
        u8 first;
    };
    std::vector<Seen> drain() {
        std::vector<Seen> seen;
        tap_.drain([&](const Captured& packet, std::span<const u8> bytes) {
            seen.push_back({packet, bytes[0]});
        });
        return seen;
    }

    std::array<std::array<u8, 64>, 4> memory_{};
    std::array<Frame, 4> frames_{};
    CaptureTap tap_{"af_xdp"};
};

TEST_F(Tap, ShowsNothingUntilItIsAsked) {
    run(frames_, VERDICT_FORWARD);
    EXPECT_TRUE(drain().empty());
    tap_.show_bytes(20);
    tap_.show_bytes(0);
    run(frames_, VERDICT_FORWARD);
    EXPECT_TRUE(drain().empty());
}

TEST_F(Tap, ShowsBytesAsTheyCameWithWhatWasDecidedAfterwards) {
    tap_.show_bytes(20);
    run(frames_, drop(REASON_POLICY));
    const std::vector<Seen> seen = drain();
    ASSERT_EQ(seen.size(), 4u);
    for (size_t i = 0; i < seen.size(); ++i) {
        EXPECT_EQ(seen[i].first, i);
        EXPECT_EQ(seen[i].packet.word, drop(REASON_POLICY));
        EXPECT_EQ(seen[i].packet.port, 3u);
        EXPECT_EQ(seen[i].packet.length, 64u);
        EXPECT_EQ(seen[i].packet.bytes, 20u);
        EXPECT_EQ(seen[i].packet.time_ns, 99u);
    }
}

TEST_F(Tap, ShowsWhatLeavesOnceMore) {
    tap_.show_bytes(64);
    run(frames_, VERDICT_FORWARD);
    const std::vector<Seen> seen = drain();
    ASSERT_EQ(seen.size(), 8u);
    EXPECT_FALSE(seen[3].packet.leaves);
    EXPECT_TRUE(seen[4].packet.leaves);
    EXPECT_EQ(seen[4].first, 0xff);
}

TEST_F(Tap, CountsWhatFindsNoRoom) {
    tap_.show_bytes(64);
    for (size_t i = 0; i < CaptureTap::capacity / 4 + 2; ++i) run(frames_, drop(REASON_POLICY));
    EXPECT_EQ(tap_.lost(), 8u);
    EXPECT_EQ(drain().size(), CaptureTap::capacity);
    run(frames_, drop(REASON_POLICY));
    EXPECT_EQ(drain().size(), 4u);
}

}  // namespace
}  // namespace sluice
