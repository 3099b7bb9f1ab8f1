// SPDX-License-Identifier: Apache-2.0
//
// The packet ring and the guard behind it, against the real kernel, in a network namespace of the test's own.
// Needs root.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "dataplane/io/interception/ingress_guard.h"
#include "dataplane/io/packet_socket/packet_port.h"

namespace sluice {
namespace {

using Bytes = std::vector<u8>;

class PacketRingTest : public testing::Test {
protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root";
        if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "needs a network namespace of its own";
        ASSERT_EQ(
            std::system("ip link add in0 type veth peer name far0 && "
                        "sysctl -qw net.ipv6.conf.in0.disable_ipv6=1 net.ipv6.conf.far0.disable_ipv6=1 && "
                        "ip link set in0 up arp off && ip link set far0 up arp off"),
            0);
        far_.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        auto buffers = Umem::create({.frames = 256, .frame_size = 2048, .huge_pages = false});
        ASSERT_TRUE(buffers) << buffers.error().message;
        buffers_ = *std::move(buffers);
    }

    std::unique_ptr<PacketRing> open(const PacketRingOptions& options = {},
                                     const PacketRing* group = nullptr) {
        auto opened = PacketRing::open("in0", if_nametoindex("in0"), options, group);
        EXPECT_TRUE(opened.ok()) << opened.error().message;
        return opened ? *std::move(opened) : nullptr;
    }

    static Bytes numbered(u32 number, size_t length = 60) {
        Bytes bytes(length);
        std::iota(bytes.begin(), bytes.end(), u8{0});
        bytes[0] = 2;
        bytes[12] = 0x88;
        bytes[13] = 0xb5;
        std::memcpy(&bytes[14], &number, sizeof number);
        return bytes;
    }

    void send(const Bytes& bytes, const char* device = "far0") const {
        sockaddr_ll to{};
        to.sll_family = AF_PACKET;
        to.sll_ifindex = static_cast<int>(if_nametoindex(device));
        ASSERT_EQ(
            sendto(far_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
            static_cast<ssize_t>(bytes.size()));
    }

    // All that comes until `count` have, or nothing more does for a second.
    std::vector<Bytes> take(PacketRing& ring, PacketPort& port, size_t count) {
        std::vector<Bytes> all;
        std::array<Frame, 64> frames;
        while (all.size() < count) {
            const u32 got = port.receive(frames);
            for (u32 i = 0; i < got; ++i) {
                all.emplace_back(frames[i].data, frames[i].end);
                port.release(frames[i]);
            }
            pollfd wait{ring.descriptor(), POLLIN, 0};
            if (got == 0 && poll(&wait, 1, 1000) == 0) break;
        }
        return all;
    }

    UniqueFd far_;
    std::unique_ptr<Umem> buffers_;
};

TEST_F(PacketRingTest, FramesOfAllLengthsComeWholeInOrderThroughManyBlocks) {
    // Small blocks, so that the walk goes round the ring.
    const auto ring = open({.blocks = 4, .block_bytes = 4096});
    ASSERT_TRUE(ring->begin());
    PacketPort port(*ring, *buffers_);
    for (u32 i = 0; i < 2000; ++i) {
        const Bytes frame = numbered(i, 60 + i % 1400);
        send(frame);
        ASSERT_EQ(take(*ring, port, 1), std::vector<Bytes>{frame}) << i;
    }
    const PacketRingStatistics s = ring->statistics();
    EXPECT_EQ(s.frames, 2000u);
    EXPECT_EQ(s.lost, 0u);
    EXPECT_EQ(buffers_->free_count(), buffers_->frames());
}

TEST_F(PacketRingTest, WhatFindsNoRoomIsCounted) {
    const auto ring = open({.blocks = 2, .block_bytes = 4096});
    ASSERT_TRUE(ring->begin());
    PacketPort port(*ring, *buffers_);
    for (u32 i = 0; i < 500; ++i) send(numbered(i));
    const size_t taken = take(*ring, port, 500).size();
    EXPECT_GT(taken, 0u);
    const PacketRingStatistics s = ring->statistics();
    EXPECT_GT(s.lost, 0u);
    EXPECT_EQ(s.frames + s.lost, 500u);
    EXPECT_EQ(ring->statistics().lost, s.lost) << "reading it changes nothing";
}

TEST_F(PacketRingTest, NothingIsShownBeforeTheBeginAndAfterAPause) {
    const auto ring = open();
    PacketPort port(*ring, *buffers_);
    send(numbered(1));
    ASSERT_TRUE(ring->begin());
    send(numbered(2));
    ASSERT_TRUE(ring->pause());
    send(numbered(3));
    EXPECT_EQ(take(*ring, port, 2), std::vector<Bytes>{numbered(2)});
}

TEST_F(PacketRingTest, WhatLeavesAndWhatIsMarkedIsNotShown) {
    const auto ring = open({.ignored_mark = mark_passed});
    ASSERT_TRUE(ring->begin());
    PacketPort port(*ring, *buffers_);
    send(numbered(1), "in0");
    const u32 mark = mark_passed | 1;
    ASSERT_EQ(setsockopt(far_.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
    send(numbered(2));
    const u32 other = ~mark_passed;
    ASSERT_EQ(setsockopt(far_.get(), SOL_SOCKET, SO_MARK, &other, sizeof other), 0);
    send(numbered(3));
    EXPECT_EQ(take(*ring, port, 2), std::vector<Bytes>{numbered(3)});
}

TEST_F(PacketRingTest, ADeviceThatWentDownDoesNotKeepASleeperAwake) {
    const auto ring = open();
    ASSERT_TRUE(ring->begin());
    PacketPort port(*ring, *buffers_);
    ASSERT_EQ(std::system("ip link set in0 down"), 0);
    port.prepare_to_sleep();
    pollfd wait{ring->descriptor(), POLLIN, 0};
    EXPECT_EQ(poll(&wait, 1, 50), 0);
    ASSERT_EQ(std::system("ip link set in0 up"), 0);
    send(numbered(4));
    EXPECT_EQ(take(*ring, port, 1), std::vector<Bytes>{numbered(4)});
}

TEST_F(PacketRingTest, RingsOfAGroupShareAnInterfacesFramesByFlow) {
    const auto first = open({.shared = true});
    const auto second = open({.shared = true}, first.get());
    EXPECT_EQ(first->group(), second->group());
    ASSERT_TRUE(first->begin());
    ASSERT_TRUE(second->begin());
    PacketPort one(*first, *buffers_), two(*second, *buffers_);
    constexpr u32 flows = 64, each = 4;
    for (u32 i = 0; i < flows * each; ++i) {
        Bytes udp(60);
        udp[0] = 2;
        udp[12] = 8;
        udp[14] = 0x45;
        udp[17] = 46;
        udp[22] = 64;
        udp[23] = 17;
        udp[26] = udp[30] = 10;
        udp[29] = static_cast<u8>(i % flows);
        udp[33] = 1;
        udp[35] = 53;
        udp[39] = 26;
        send(udp);
    }
    const auto here = take(*first, one, flows * each), there = take(*second, two, flows * each);
    EXPECT_EQ(here.size() + there.size(), flows * each);
    std::array<u32, flows> count{};
    for (const Bytes& frame : here) count[frame[29]]++;
    for (const u32 flow : count) EXPECT_TRUE(flow == 0 || flow == each) << flow;
    EXPECT_GT(here.size(), 0u);
    EXPECT_GT(there.size(), 0u);
}

TEST_F(PacketRingTest, TheGuardKeepsTheStackFromWhatIsNotMarkedAndGoes) {
    // What the stack gets of far0's frames, as a packet socket does not tell: its own counter.
    const auto stack = [] {
        FILE* const file =
            popen("nft list table netdev count | sed -n 's/.*packets \\([0-9]*\\).*/\\1/p'", "r");
        char line[32] = "";
        if (fgets(line, sizeof line, file) == nullptr) line[0] = '\0';
        pclose(file);
        return std::atoi(line);
    };
    ASSERT_EQ(std::system("nft 'add table netdev count; add chain netdev count c { type filter hook ingress "
                          "device \"in0\" priority 0; }; add rule netdev count c counter'"),
              0);
    IngressGuard guard;
    send(numbered(1));
    EXPECT_EQ(stack(), 1);
    const Status set = guard.set({"in0"});
    ASSERT_TRUE(set) << set.error().message;
    send(numbered(2));
    EXPECT_EQ(stack(), 1);
    const u32 mark = mark_passed;
    ASSERT_EQ(setsockopt(far_.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
    send(numbered(3));
    EXPECT_EQ(stack(), 2);
    ASSERT_TRUE(guard.set({}));
    const u32 none = 0;
    ASSERT_EQ(setsockopt(far_.get(), SOL_SOCKET, SO_MARK, &none, sizeof none), 0);
    send(numbered(4));
    EXPECT_EQ(stack(), 3);
}

}  // namespace
}  // namespace sluice
