// SPDX-License-Identifier: Apache-2.0
//
// Devices that are reset under us: what their counters say then, and that they carry on.
#include <gtest/gtest.h>
#include <rte_ethdev.h>

#include "dataplane/io/dpdk/dpdk_port.h"
#include "dataplane/io/dpdk/eal.h"
#include "dataplane/io/dpdk/physical_function.h"
#include "dataplane/io/dpdk/ring_device.h"
#include "tests/support/fake_machine.h"

// As drivers call it; DPDK's header for drivers is not installed.
extern "C" {
struct rte_eth_dev;
int rte_eth_dev_callback_process(rte_eth_dev* device, rte_eth_event_type event, void* ret);
rte_eth_dev* rte_eth_dev_get_by_name(const char* name);
}

namespace sluice {
namespace {

constexpr u64 two_to_32 = u64{1} << 32;
constexpr u64 second = 1'000'000'000;

TEST(PlausibleCounter, CountsWhatALinkCanCarry) {
    PlausibleCounter counter;
    const LinkCapacity gigabit = LinkCapacity::of(1000, second);
    EXPECT_GT(gigabit.packets, 1'488'095u) << "a gigabit of frames of 64 bytes";
    EXPECT_GT(gigabit.bytes, 125'000'000u);
    EXPECT_EQ(counter.take(1'000'000, gigabit.packets), 1'000'000u);
    EXPECT_EQ(counter.take(2'400'000, gigabit.packets), 2'400'000u);
}

// A driver adds (0 - 1,234) modulo 2^32 when the register has begun anew, and goes on from there.
TEST(PlausibleCounter, LeavesOutTheStepOfADriverWhoseRegisterWasReset) {
    PlausibleCounter counter;
    const u64 most = LinkCapacity::of(1000, second).packets;
    EXPECT_EQ(counter.take(1234, most), 1234u);
    EXPECT_EQ(counter.take(1234 + (two_to_32 - 1234), most), 1234u);
    EXPECT_EQ(counter.take(two_to_32 + 10, most), 1244u);
}

TEST(PlausibleCounter, LeavesOutARegisterThatReadsAsOnes) {
    PlausibleCounter counter;
    const u64 most = LinkCapacity::of(10'000, second).packets;
    EXPECT_EQ(counter.take(500, most), 500u);
    EXPECT_EQ(counter.take(0xffffffff, most), 500u);
    EXPECT_EQ(counter.take(two_to_32 + 500, most), 1001u) << "the register is back: 501 more modulo 2^32";
    EXPECT_EQ(counter.take(~u64{0}, most), 1001u);
}

TEST(PlausibleCounter, GoesOnWhenADriverBeginsAnew) {
    PlausibleCounter counter;
    EXPECT_EQ(counter.take(700, 1000), 700u);
    EXPECT_EQ(counter.take(5, 1000), 705u);
    EXPECT_EQ(counter.take(6, 1000), 706u);
    PlausibleCounter value(PlausibleCounter::Fall::value);
    EXPECT_EQ(value.take(700, 1000), 700u);
    EXPECT_EQ(value.take(5, 1000), 5u) << "it may be no counter";
}

TEST(LinkCapacity, GoesByTheStatisticsName) {
    const LinkCapacity most{10, 1000};
    EXPECT_EQ(most.of("rx_good_bytes"), 1000u);
    EXPECT_EQ(most.of("tx_good_octets"), 1000u);
    EXPECT_EQ(most.of("rx_good_packets"), 10u);
}

TEST(PhysicalFunction, IsFoundByItsVirtualFunction) {
    FakeMachine machine;
    const std::string sysfs = machine.files().sysfs;
    EXPECT_FALSE(physical_function_of("0000:41:10.0", sysfs));
    const std::string of = "sys/bus/pci/devices/0000:41:10.0/physfn/net/eth4/";
    machine.write(of + "carrier", "1").write(of + "carrier_up_count", "3");
    auto found = physical_function_of("0000:41:10.0", sysfs);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->interface, "eth4");
    EXPECT_TRUE(found->up);
    EXPECT_EQ(found->times_up, 3u);
    machine.write(of + "carrier", "");
    found = physical_function_of("0000:41:10.0", sysfs);
    EXPECT_FALSE(found->up) << "as of an interface that is down";
}

TEST(DpdkDevice, StartsAgainWhenItsDriverReportsAResetAndKeepsItsBuffers) {
    ASSERT_TRUE(Eal::start({u64{64} << 20}).ok());
    DpdkDeviceOptions options;
    options.interface = options.device = "flaky";
    options.rx_descriptors = 64;
    auto made = RingDevice::create(options);
    ASSERT_TRUE(made.ok()) << made.error().message;
    DpdkDevice& device = (*made)->device();
    DpdkPort port(device, {0}, u16{0});
    EXPECT_EQ(device.interruption(), "");
    const u32 starts = device.starts();

    rte_eth_dev* const driver = rte_eth_dev_get_by_name("net_ring_flaky");
    ASSERT_NE(driver, nullptr);
    rte_eth_dev_callback_process(driver, RTE_ETH_EVENT_INTR_RESET, nullptr);
    EXPECT_EQ(device.interruption(), "its driver reports a reset");
    device.suspend();
    Frame frame;
    const std::vector<u8> bytes(60, 7);
    ASSERT_TRUE((*made)->offer(bytes));
    EXPECT_EQ(port.receive({&frame, 1}), 0u) << "no worker touches it meanwhile";
    ASSERT_TRUE(device.resume());
    EXPECT_EQ(device.interruption(), "");
    EXPECT_EQ(device.starts(), starts + 1);
    ASSERT_EQ(port.receive({&frame, 1}), 1u);
    port.release(frame);
    EXPECT_EQ(device.statistics().buffers_in_use, 0u);
}

}  // namespace
}  // namespace sluice
