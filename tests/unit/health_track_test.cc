// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "control/health/track.h"

namespace sluice::health {
namespace {

// Probes one second apart; the time after them.
double feed(Track& track, bool success, int times, double now) {
    for (int i = 0; i < times; ++i) track.add(success, now += 1);
    return now;
}

TEST(HealthTrack, IsUpUntilAsManyFailuresInARowAsItTakes) {
    Track track({3, 2, 60});
    EXPECT_TRUE(track.up());
    EXPECT_FALSE(track.probed());
    EXPECT_FALSE(track.add(false, 1));
    EXPECT_FALSE(track.add(false, 2));
    EXPECT_FALSE(track.add(true, 3));  // not in a row
    EXPECT_FALSE(track.add(false, 4));
    EXPECT_FALSE(track.add(false, 5));
    EXPECT_TRUE(track.up());
    EXPECT_TRUE(track.add(false, 6));
    EXPECT_FALSE(track.up());
    EXPECT_FALSE(track.add(false, 7));
}

TEST(HealthTrack, IsUpAgainAfterAsManySuccessesInARowAsItTakes) {
    Track track({3, 2, 60});
    double now = feed(track, false, 3, 0);
    EXPECT_FALSE(track.add(true, now + 1));
    EXPECT_FALSE(track.add(false, now + 2));
    EXPECT_FALSE(track.add(true, now + 3));
    EXPECT_TRUE(track.add(true, now + 4));
    EXPECT_TRUE(track.up());
    EXPECT_FALSE(track.damped());
}

TEST(HealthTrack, OneThatWasDownBeforeBeginsDown) {
    Track track({3, 2, 60});
    track.restore_down();
    EXPECT_FALSE(track.up());
    EXPECT_EQ(track.penalty(0), 0);
    feed(track, true, 2, 0);
    EXPECT_TRUE(track.up());
}

TEST(HealthTrack, TheThirdTimeDownInShortOrderHoldsItDownUntilThePenaltyHasDecayed) {
    Track track({3, 2, 60});
    double now = 0;
    for (int round = 0; round < 2; ++round) {
        now = feed(track, false, 3, now);
        EXPECT_FALSE(track.up());
        EXPECT_FALSE(track.damped());
        now = feed(track, true, 2, now);
        EXPECT_TRUE(track.up()) << round;
    }
    now = feed(track, false, 3, now);
    EXPECT_TRUE(track.damped());
    const double held_at = now;
    while (!track.up() && now < held_at + 600) now = feed(track, true, 1, now);
    EXPECT_TRUE(track.up());
    // A penalty of nearly 3 is 1 after log2(3) = 1.58 half-lives.
    EXPECT_NEAR(now - held_at, 60 * 1.5, 8);
    EXPECT_FALSE(track.damped());
}

TEST(HealthTrack, SlowChangesAreNotFlapping) {
    Track track({1, 1, 60});
    double now = 0;
    for (int round = 0; round < 20; ++round) {
        track.add(false, now += 300);
        EXPECT_FALSE(track.damped()) << round;
        track.add(true, now += 300);
        EXPECT_TRUE(track.up()) << round;
    }
}

TEST(HealthTrack, ThePenaltyIsBounded) {
    Track track({1, 1, 1e9});
    for (int round = 0; round < 100; ++round) {
        track.add(false, 0);
        track.add(true, 0);
    }
    EXPECT_LE(track.penalty(0), Track::most_penalty);
}

}  // namespace
}  // namespace sluice::health
