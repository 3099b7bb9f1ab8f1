// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/flow_sweeper.h"

#include <gtest/gtest.h>

#include <memory>

namespace sluice {
namespace {

constexpr u32 slots = 64;
constexpr u32 udp_timeout = 100;

class Sweeper : public testing::Test {
protected:
    Sweeper() {
        node->flow_capacity = slots;
        node->flow_bucket_mask = slots / FLOW_BUCKET_SLOTS - 1;
        for (u32& timeout : node->timeout) timeout = udp_timeout;
        view.node = node.get();
        view.flow_tags = tags.data();
        view.flows = flows.data();
        view.flow_addresses = addresses.data();
        view.flow_counters = counters.data();
    }

    // A published flow in slot `index`.
    flow& put(u32 index, u32 last_seen, u16 backend = 0) {
        flow& entry = flows[index];
        entry.state = STATE_UDP;
        entry.mode = MODE_NAT;
        entry.backend = backend;
        entry.last_seen = last_seen;
        entry.version = 2;
        flow_set_tag(&view, index, 9);
        return entry;
    }
    bool present(u32 index) const { return (tags[index / 8] >> (index % 8 * 8) & 0xff) != 0; }

    std::unique_ptr<node_state> node = std::make_unique<node_state>();
    std::vector<u64> tags = std::vector<u64>(slots / 8);
    std::vector<flow> flows = std::vector<flow>(slots + FLOW_SCRATCH);
    std::vector<flow_addresses> addresses = std::vector<struct flow_addresses>(slots + FLOW_SCRATCH);
    std::vector<flow_counters> counters = std::vector<struct flow_counters>(slots + FLOW_SCRATCH);
    struct tables view {};
};

TEST_F(Sweeper, RemovesWhatHasExpiredAndCountsTheRest) {
    put(3, 1000);
    put(17, 1000 - udp_timeout);
    put(40, 999 - udp_timeout);
    FlowSweeper sweeper(view);
    EXPECT_TRUE(sweeper.step(slots, 1000));
    EXPECT_TRUE(present(3));
    EXPECT_TRUE(present(17)) << "the time-out is inclusive";
    EXPECT_FALSE(present(40));
    EXPECT_EQ(flows[40].version % 2, 0u);
    EXPECT_EQ(sweeper.expired(), 1u);
    EXPECT_EQ(sweeper.census().live[STATE_UDP], 2u);
    EXPECT_EQ(sweeper.census().total(), 2u);
}

TEST_F(Sweeper, KeepsAFlowStampedAheadOfTheClock) {
    put(3, 1005);
    FlowSweeper sweeper(view);
    sweeper.step(slots, 1000);
    EXPECT_TRUE(present(3));
}

TEST_F(Sweeper, GoesOnWhereTheLastSliceEnded) {
    for (u32 i = 0; i < slots; i += 8) put(i, 0);
    FlowSweeper sweeper(view);
    EXPECT_FALSE(sweeper.step(slots / 2, 5000));
    EXPECT_FALSE(present(24));
    EXPECT_TRUE(present(32));
    EXPECT_TRUE(sweeper.step(slots / 2, 5000));
    EXPECT_FALSE(present(32));
    EXPECT_EQ(sweeper.expired(), 8u);
}

TEST_F(Sweeper, AliasLivesAsLongAsItsFlow) {
    put(3, 1000);
    flow& alias = put(20, 0);
    alias.mode = MODE_ALIAS;
    alias.target = 3;
    alias.target_port = 2;  // the flow's version
    FlowSweeper sweeper(view);
    sweeper.step(slots, 1000);
    EXPECT_TRUE(present(20)) << "its own stamp is old, but its flow's is not";
    EXPECT_EQ(sweeper.census().aliases, 1u);
    sweeper.step(slots, 5000);  // the flow, before its alias
    EXPECT_FALSE(present(3));
    EXPECT_FALSE(present(20));
}

TEST_F(Sweeper, BreaksALockThatOutlivesItsWriter) {
    put(3, 1000).version = 5;
    flows[12].version = 7;  // claimed and never filled
    FlowSweeper sweeper(view);
    sweeper.step(slots, 1000);
    sweeper.step(slots, 1500);
    EXPECT_EQ(flows[3].version, 5u) << "half a second may be a writer that waits for its core";
    sweeper.step(slots, 1000 + FlowSweeper::repair_after_ticks);
    EXPECT_EQ(flows[3].version % 2, 0u);
    EXPECT_GT(flows[3].version, 5u);
    EXPECT_FALSE(present(3));
    EXPECT_EQ(flows[12].version % 2, 0u);
    EXPECT_EQ(sweeper.repaired(), 2u);
}

TEST_F(Sweeper, LockThatChangesHandsIsNotBroken) {
    put(3, 1000).version = 5;
    FlowSweeper sweeper(view);
    sweeper.step(slots, 1000);
    flows[3].version = 9;
    sweeper.step(slots, 1000 + FlowSweeper::repair_after_ticks);
    EXPECT_EQ(flows[3].version, 9u);
    EXPECT_EQ(sweeper.repaired(), 0u);
}

TEST_F(Sweeper, RemovesTheFlowsOfBackendsThatHaveGone) {
    put(1, 1000, 5);
    put(2, 1000, 6);
    put(3, 1000, 0);
    FlowSweeper sweeper(view);
    EXPECT_EQ(sweeper.remove_backends([](u16 id) { return id == 4; }), 1u);
    EXPECT_FALSE(present(1));
    EXPECT_TRUE(present(2));
    EXPECT_TRUE(present(3));
}

}  // namespace
}  // namespace sluice
