// SPDX-License-Identifier: Apache-2.0
//
// The way out by a packet socket, against the real kernel, in a network namespace of the test's own. Needs
// root.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <sched.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <numeric>

#include "dataplane/io/packet_socket/packet_egress.h"

namespace sluice {
namespace {

using Bytes = std::vector<u8>;

class PacketEgressTest : public testing::Test {
protected:
    static constexpr u32 longest = 1514;

    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root";
        if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "needs a network namespace of its own";
        ASSERT_EQ(
            std::system("ip link add out0 type veth peer name far0 && "
                        "sysctl -qw net.ipv6.conf.out0.disable_ipv6=1 net.ipv6.conf.far0.disable_ipv6=1 && "
                        "ip link set out0 up && ip link set far0 up"),
            0);
        far_.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
        sockaddr_ll at{};
        at.sll_family = AF_PACKET;
        at.sll_protocol = htons(ETH_P_ALL);
        at.sll_ifindex = static_cast<int>(if_nametoindex("far0"));
        ASSERT_EQ(bind(far_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
        const timeval patience{5, 0};
        setsockopt(far_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        auto opened = PacketEgress::open("out0", if_nametoindex("out0"), longest);
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        way_ = *std::move(opened);
    }

    // A frame of an experimental protocol, with its number behind the header.
    static Bytes numbered(u8 number, size_t length = 60) {
        Bytes bytes(length);
        std::iota(bytes.begin(), bytes.end(), u8{0});
        bytes[12] = 0x88;
        bytes[13] = 0xb5;
        bytes[14] = number;
        return bytes;
    }

    bool send(Bytes& bytes) {
        Frame frame{};
        frame.buffer = frame.data = bytes.data();
        frame.end = bytes.data() + bytes.size();
        return way_->send(frame);
    }

    std::vector<u32> flush() {
        std::vector<u32> lost;
        way_->flush([&](u32 number) { lost.push_back(number); });
        return lost;
    }

    Bytes arrived() const {
        Bytes bytes(2048);
        const ssize_t length = recv(far_.get(), bytes.data(), bytes.size(), 0);
        bytes.resize(length < 0 ? 0 : static_cast<size_t>(length));
        return bytes;
    }

    UniqueFd far_;
    std::unique_ptr<PacketEgress> way_;
};

TEST_F(PacketEgressTest, AFullBatchLeavesUnchangedAndInOrder) {
    std::vector<Bytes> frames;
    for (u32 i = 0; i < PacketEgress::batch; ++i) {
        frames.push_back(numbered(static_cast<u8>(i), 60 + i));
        ASSERT_TRUE(send(frames.back()));
    }
    EXPECT_TRUE(way_->full());
    Bytes one_more = numbered(200);
    EXPECT_FALSE(send(one_more));
    EXPECT_EQ(flush(), std::vector<u32>{});
    EXPECT_EQ(way_->waiting(), 0u);
    for (const Bytes& frame : frames) ASSERT_EQ(arrived(), frame);
}

TEST_F(PacketEgressTest, AFrameIsCopiedSoThatItsBufferIsFreeAtOnce) {
    Bytes frame = numbered(1);
    const Bytes as_sent = frame;
    ASSERT_TRUE(send(frame));
    frame.assign(frame.size(), 0xff);
    EXPECT_EQ(flush(), std::vector<u32>{});
    EXPECT_EQ(arrived(), as_sent);
}

TEST_F(PacketEgressTest, WhatIsTooLongIsRefusedAndTheRestLeaves) {
    Bytes too_long = numbered(1, longest + 1);
    Bytes fits = numbered(2, longest);
    EXPECT_FALSE(send(too_long));
    ASSERT_TRUE(send(fits));
    EXPECT_EQ(flush(), std::vector<u32>{});
    EXPECT_EQ(arrived(), fits);
}

TEST_F(PacketEgressTest, EachFrameThatTheDeviceRefusesIsToldAndTheNextBatchIsNotHeldUp) {
    ASSERT_EQ(std::system("ip link set out0 down"), 0);
    Bytes first = numbered(1), second = numbered(2), third = numbered(3);
    ASSERT_TRUE(send(first));
    ASSERT_TRUE(send(second));
    EXPECT_EQ(flush(), (std::vector<u32>{0, 1}));
    ASSERT_EQ(std::system("ip link set out0 up"), 0);
    ASSERT_TRUE(send(third));
    EXPECT_EQ(flush(), std::vector<u32>{});
    EXPECT_EQ(arrived(), third);
}

}  // namespace
}  // namespace sluice
