// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "control/sizing/sizing.h"

namespace sluice::control {
namespace {

constexpr u64 mebibyte = 1 << 20;

config::Interface named(const std::string& name) {
    config::Interface interface;
    interface.name = name;
    return interface;
}

TEST(Sizing, EightMebibytesAQueueAtTheUsualMtu) {
    config::Config config;
    config.interfaces = {named("eth0"), named("eth1")};
    config.interfaces[1].queues = 2;
    const auto needs = buffer_needs(config, [](const std::string& device) {
        return device == "eth0" ? DeviceFacts{1, 4, 1500, false} : DeviceFacts{std::nullopt, 8, 1500, false};
    });
    ASSERT_EQ(needs.size(), 2U);
    EXPECT_EQ(needs[0].bytes, 4 * 8 * mebibyte);
    EXPECT_EQ(needs[0].node, 1U);
    EXPECT_EQ(needs[1].bytes, 2 * 8 * mebibyte) << "as configured";
    const auto nodes = by_node(needs, 0);
    ASSERT_EQ(nodes.size(), 2U);
    EXPECT_EQ(nodes[0].node, 1U);
    EXPECT_EQ(nodes[1].bytes, 16 * mebibyte);
    EXPECT_EQ(by_node(needs, 1).at(0).bytes, 48 * mebibyte);
}

TEST(Sizing, ALargeMtuDoublesTheBuffersOfAll) {
    config::Config config;
    config.interfaces = {named("eth0"), named("eth1")};
    const auto needs = buffer_needs(config, [](const std::string& device) {
        return DeviceFacts{0, 1, device == "eth0" ? 3000U : 1500U, false};
    });
    EXPECT_EQ(needs[0].bytes, 16 * mebibyte);
    EXPECT_EQ(needs[1].bytes, 16 * mebibyte) << "a frame received on one leaves by another";
}

TEST(Sizing, ADeviceThatCountsInKibibytesNeedsLargeBuffers) {
    EXPECT_EQ(buffer_bytes(1500, false), 2048U);
    EXPECT_EQ(buffer_bytes(1500, true), 4096U) << "1536 bytes of room would be 1024 to it";
    EXPECT_EQ(buffer_bytes(1002, true), 2048U);
    EXPECT_EQ(buffer_bytes(1515, false), 4096U);
    config::Config config;
    config.interfaces = {named("eth0")};
    const auto needs = buffer_needs(config, [](const std::string&) { return DeviceFacts{0, 1, 1500, true}; });
    EXPECT_EQ(needs.at(0).bytes, 16 * mebibyte);
}

TEST(Sizing, ADpdkPortCountsItsPool) {
    config::Config config;
    config.interfaces = {named("p0")};
    config.interfaces[0].dpdk = config::DpdkPort{};
    config.interfaces[0].dpdk->rx_queues = 2;
    config.interfaces[0].dpdk->device = "0000:3b:00.0";
    const auto needs = buffer_needs(config, [](const std::string& device) {
        EXPECT_EQ(device, "0000:3b:00.0");
        return DeviceFacts{1, 99, 9000, false};
    });
    ASSERT_EQ(needs.size(), 1U);
    EXPECT_EQ(needs[0].node, 1U);
    EXPECT_EQ(needs[0].queues, 2U);
    // 2 x (1024 + 1024 + 1536) + 1024 buffers of 2368 bytes, and 8 MiB of rings
    EXPECT_EQ(needs[0].bytes, (8192 * 2368 / (2 * mebibyte) + 1) * 2 * mebibyte + 8 * mebibyte);
}

TEST(Sizing, EveryDpdkPortHasBuffersForAllWorkers) {
    config::Config config;
    config.interfaces = {named("p0"), named("p1")};
    for (config::Interface& interface : config.interfaces) {
        interface.dpdk = config::DpdkPort{};
        interface.dpdk->device = "net_null0";
    }
    config.interfaces[1].queues = 3;
    const auto needs = buffer_needs(config, [](const std::string&) { return DeviceFacts{}; });
    ASSERT_EQ(needs.size(), 2U);
    EXPECT_EQ(needs[1].queues, 3U) << "the interface's own number of queues goes before its section's";
    // 1024 and 3 x 1024 for the rings, 4 x (1024 + 1536) for four workers, 1024 of the inlet
    EXPECT_EQ(needs[0].bytes, (12288 * 2368 / (2 * mebibyte) + 1) * 2 * mebibyte + 8 * mebibyte);
    EXPECT_EQ(needs[1].bytes, (14336 * 2368 / (2 * mebibyte) + 1) * 2 * mebibyte + 8 * mebibyte);
}

TEST(Sizing, SubInterfacesUseTheirParentsBuffers) {
    config::Config config;
    config.interfaces = {named("eth0"), named("eth0.200")};
    config.interfaces[1].parent = "eth0";
    EXPECT_EQ(buffer_needs(config, [](const std::string&) { return DeviceFacts{}; }).size(), 1U);
}

}  // namespace
}  // namespace sluice::control
