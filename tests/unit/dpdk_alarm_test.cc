// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/alarm.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/io/dpdk/dpdk_port.h"
#include "dataplane/io/dpdk/eal.h"
#include "dataplane/io/dpdk/ring_device.h"

namespace sluice::test {

namespace {

bool would_wake(const Alarm& alarm) {
    pollfd state{alarm.descriptor(), POLLIN, 0};
    return poll(&state, 1, 0) == 1;
}

// Two ends of a wire.
struct Pair {
    Pair() {
        int ends[2] = {-1, -1};
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
        near.reset(ends[0]);
        far.reset(ends[1]);
    }
    UniqueFd near, far;
};

}  // namespace

TEST(AlarmTest, AFrameWakesUntilItIsTaken) {
    Pair wire;
    const int watched[] = {wire.near.get()};
    const auto alarm = Alarm::over(watched);
    ASSERT_NE(alarm, nullptr);
    alarm->about_to_sleep();
    EXPECT_FALSE(would_wake(*alarm));
    ASSERT_EQ(write(wire.far.get(), "x", 1), 1);
    EXPECT_TRUE(would_wake(*alarm));
    alarm->awake();
    EXPECT_TRUE(would_wake(*alarm)) << "it was not taken yet";
    char byte = 0;
    ASSERT_EQ(read(wire.near.get(), &byte, 1), 1);
    EXPECT_FALSE(would_wake(*alarm));
}

TEST(AlarmTest, RingingWakesASleeperOnly) {
    const auto alarm = Alarm::over({});
    ASSERT_NE(alarm, nullptr);
    alarm->ring();
    EXPECT_FALSE(would_wake(*alarm));
    alarm->about_to_sleep();
    alarm->ring();
    EXPECT_TRUE(would_wake(*alarm));
    alarm->awake();
    EXPECT_FALSE(would_wake(*alarm));
}

// A descriptor that is always readable and has no frames would keep the worker awake for ever.
TEST(AlarmTest, ADescriptorThatHasOnlyErrorsLeftIsGivenUp) {
    int ends[2] = {-1, -1};
    ASSERT_EQ(pipe(ends), 0);
    const UniqueFd near(ends[0]);
    UniqueFd far(ends[1]);
    const int watched[] = {near.get()};
    const auto alarm = Alarm::over(watched);
    ASSERT_NE(alarm, nullptr);
    EXPECT_TRUE(alarm->is_certain());
    far.reset();
    EXPECT_TRUE(would_wake(*alarm));
    alarm->awake();
    EXPECT_FALSE(alarm->is_certain());
    EXPECT_FALSE(would_wake(*alarm));
}

TEST(AlarmTest, ADescriptorThatCannotBeWatchedIsRefused) {
    const int none[] = {-1};
    EXPECT_EQ(Alarm::over(none), nullptr);
}

TEST(AlarmTest, AFrameForTheInletWakesWhoEmptiesIt) {
    ASSERT_TRUE(Eal::start({u64{64} << 20}).ok());
    DpdkDeviceOptions options;
    options.interface = options.device = "inlet";
    options.rx_descriptors = 64;
    auto wire = RingDevice::create(options);
    ASSERT_TRUE(wire.ok());
    DpdkDevice& device = (*wire)->device();
    const auto alarm = Alarm::over({});
    device.set_inlet_alarm(alarm.get());
    alarm->about_to_sleep();
    const std::vector<u8> frame(60);
    ASSERT_TRUE(device.inject(frame));
    EXPECT_TRUE(would_wake(*alarm));
    alarm->awake();
    alarm->about_to_sleep();
    DpdkPort other(device, {}, std::nullopt);  // of a worker without a queue of its own
    Frame sent;
    ASSERT_TRUE(other.allocate(sent));
    sent.end = sent.data + frame.size();
    ASSERT_TRUE(other.send(sent));
    other.flush();
    EXPECT_TRUE(would_wake(*alarm));
    device.set_inlet_alarm(nullptr);
}

TEST(AlarmTest, APortWithoutADescriptorNapsAndOneWithoutQueuesNeedsNoNap) {
    DpdkDeviceOptions options;
    options.interface = options.device = "naps";
    options.rx_descriptors = 64;
    auto wire = RingDevice::create(options);
    ASSERT_TRUE(wire.ok());
    const DpdkPort polled((*wire)->device(), {0}, u16{0});
    EXPECT_EQ(polled.descriptor(), -1);
    EXPECT_LT(polled.longest_nap_ns(), 1'000'000u);
    const DpdkPort sender((*wire)->device(), {}, std::nullopt);
    EXPECT_GT(sender.longest_nap_ns(), 1'000'000'000u);
}

}  // namespace sluice::test
