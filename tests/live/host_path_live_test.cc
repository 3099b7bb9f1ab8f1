// SPDX-License-Identifier: Apache-2.0
//
// The way back to the host stack, and what the tiers refuse.
#include "tests/live/live_io.h"

namespace sluice::live {
namespace {

// A datagram from the client to the node's own address, as bytes, as a worker would have received it.
std::array<u8, 64> datagram_to_node(u16 port) {
    std::array<u8, 64> bytes{};
    std::copy_n(mac_n0, 6, bytes.data());
    std::copy_n(mac_c0, 6, bytes.data() + 6);
    const u8 rest[] = {8,
                       0,
                       0x45,
                       0,
                       0,
                       50,
                       0,
                       1,
                       0,
                       0,
                       64,
                       17,
                       0,
                       0,
                       10,
                       99,
                       0,
                       2,
                       10,
                       99,
                       0,
                       1,
                       0x4e,
                       0x20,
                       static_cast<u8>(port >> 8),
                       static_cast<u8>(port),
                       0,
                       30,
                       0,
                       0,
                       's',
                       'l',
                       'u',
                       'i',
                       'c',
                       'e'};
    std::copy(std::begin(rest), std::end(rest), bytes.data() + 12);
    u32 sum = 0;
    for (size_t i = 14; i < 34; i += 2) sum += static_cast<u32>(bytes[i] << 8 | bytes[i + 1]);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    bytes[24] = static_cast<u8>(~sum >> 8);
    bytes[25] = static_cast<u8>(~sum);
    return bytes;
}

// Delivers 10 frames; how many a socket on the node's own address got, with the client as their sender.
int delivered_to_host(HostPath& path) {
    constexpr u16 port = 7001;
    const UniqueFd fd = udp_socket("10.99.0.1", port, 1);
    std::array<u8, 64> bytes = datagram_to_node(port);
    Frame frame;
    frame.buffer = frame.data = bytes.data();
    frame.end = frame.data + bytes.size();
    int arrived = 0;
    for (int i = 0; i < 10; ++i) {
        if (!path.deliver(frame)) continue;
        char data[64];
        sockaddr_in from{};
        socklen_t length = sizeof from;
        const ssize_t size =
            recvfrom(fd.get(), data, sizeof data, 0, reinterpret_cast<sockaddr*>(&from), &length);
        if (size == 22 && from.sin_addr.s_addr == endpoint("10.99.0.2", 0).sin_addr.s_addr) ++arrived;
    }
    return arrived;
}

TEST_F(LiveIo, HostStackGetsWhatTheEnginePasses) {
    publish("xdp");
    attach();
    auto path = HostPath::open("n0", if_nametoindex("n0"), 1500);
    ASSERT_TRUE(path) << path.error().message;
    EXPECT_EQ(delivered_to_host(**path), 10);
    EXPECT_EQ((*path)->delivered(), 10u);
    EXPECT_EQ((*path)->refused(), 0u);
    const std::string name = (*path)->name();
    path->reset();
    EXPECT_EQ(if_nametoindex(name.c_str()), 0u) << "the TAP device stays";
}

// In generic mode the program runs where the redirected frame enters the stack: it must not see the frame
// again, or it would hand it over for ever.
TEST_F(LiveIo, HostPathBypassesAGenericProgram) {
    publish("xdp");
    // A peer that may send more than a page holds is what veth refuses in native mode.
    ASSERT_EQ(std::system("ip link set n0 mtu 9000 && ip -n sl-live-c link set c0 mtu 9000"), 0);
    auto attached = dataplane_->attacher().attach("n0", if_nametoindex("n0"));
    ASSERT_TRUE(attached) << attached.error().message;
    EXPECT_EQ(attached->mode, XdpMode::generic);
    EXPECT_NE(attached->native_refusal, "");
    std::printf("native mode refused: %s\n", attached->native_refusal.c_str());
    const u64 before = xdp_counters(1).received_packets;
    auto path = HostPath::open("n0", if_nametoindex("n0"), 1500);
    ASSERT_TRUE(path) << path.error().message;
    EXPECT_EQ(delivered_to_host(**path), 10);
    EXPECT_LT(xdp_counters(1).received_packets - before, 10u);
}

TEST_F(LiveIo, MtuOverOneBufferIsRefused) {
    ASSERT_EQ(std::system("ip link set n0 mtu 9000"), 0);
    auto opened = XskSet::open({{"n0", if_nametoindex("n0"), 1, 0}}, {}, {});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().message,
              "interface n0: MTU 9000: expected at most 3818, as a frame of the AF_XDP tier is one buffer of "
              "4096 bytes");
}

TEST_F(LiveIo, DetachTakesTheProgramOff) {
    publish("xdp");
    auto first = dataplane_->attacher().attach("n1", if_nametoindex("n1"));
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_TRUE(dataplane_->attacher().detach("n1", if_nametoindex("n1")));
    EXPECT_TRUE(dataplane_->attacher().attachments().empty());
    EXPECT_EQ(std::system("ip link show n1 | grep -q xdp"), 256) << "the program is still on n1";
}

}  // namespace
}  // namespace sluice::live
