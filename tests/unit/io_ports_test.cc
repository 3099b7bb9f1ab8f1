// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/xdp_ports.h"

#include <gtest/gtest.h>

#include <memory>

namespace sluice {
namespace {

node_port port(u32 ifindex, u16 vlan = 0) {
    node_port port{};
    port.ifindex = ifindex;
    port.vlan = vlan;
    return port;
}

class Ports : public testing::Test {
protected:
    std::unique_ptr<node_state> node = std::make_unique<node_state>();
    PortTable table{*node};
};

TEST_F(Ports, EveryPortOfAFullTableIsFoundByDeviceAndTag) {
    for (u8 number = 1; number < NODE_PORTS; ++number) {
        const Status set = table.set(number, port(1000 + number / 4, static_cast<u16>(number % 4 * 100)));
        ASSERT_TRUE(set) << set.error().message;
        for (u8 i = 1; i <= number; ++i) ASSERT_EQ(node_port_find(node.get(), 1000 + i / 4, i % 4 * 100), i);
    }
    EXPECT_EQ(node_port_find(node.get(), 1000, 300), 3u);
    EXPECT_EQ(node_port_find(node.get(), 1000, 301), 0u);
    EXPECT_EQ(node_port_find(node.get(), 999, 0), 0u);
}

TEST_F(Ports, DeviceThatComesBackUnderAnotherIndexKeepsItsPort) {
    ASSERT_TRUE(table.set(1, port(7)));
    ASSERT_TRUE(table.set(2, port(8)));
    ASSERT_TRUE(table.set(1, port(19)));
    EXPECT_EQ(node_port_find(node.get(), 7, 0), 0u);
    EXPECT_EQ(node_port_find(node.get(), 8, 0), 2u);
    EXPECT_EQ(node_port_find(node.get(), 19, 0), 1u);
}

TEST_F(Ports, ClearedPortIsNobodys) {
    ASSERT_TRUE(table.set(1, port(7)));
    ASSERT_TRUE(table.set(2, port(7, 200)));
    table.clear(1);
    EXPECT_EQ(node_port_find(node.get(), 7, 0), 0u);
    EXPECT_EQ(node_port_find(node.get(), 7, 200), 2u);
}

TEST_F(Ports, WrongNumbersAreRefusedByName) {
    ASSERT_TRUE(table.set(3, port(7)));
    EXPECT_EQ(table.set(0, port(8)).error().message, "port number 0: expected 1 to 63");
    EXPECT_EQ(table.set(64, port(8)).error().message, "port number 64: expected 1 to 63");
    EXPECT_EQ(table.set(4, port(0)).error().message, "port 4: expected the index of a device, not 0");
    EXPECT_EQ(table.set(4, port(7)).error().message, "port 4: device 7 with tag 0 is port 3 already");
}

}  // namespace
}  // namespace sluice
