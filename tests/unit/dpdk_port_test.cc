// SPDX-License-Identifier: Apache-2.0
//
// DPDK ports over rings in this process: what a frame goes through between the wire and the engine.
#include "dataplane/io/dpdk/dpdk_port.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include "dataplane/io/dpdk/buffer_pool.h"
#include "dataplane/io/dpdk/eal.h"
#include "dataplane/io/dpdk/ring_device.h"
#include "dataplane/worker/table_memory.h"
#include "dataplane/worker/worker.h"
#include "tests/unit/engine_sample.h"

namespace sluice::test {

namespace {

constexpr u64 eal_memory = u64{256} << 20;

DpdkDeviceOptions options_of(const std::string& name, u32 ifindex) {
    DpdkDeviceOptions options;
    options.interface = name;
    options.device = name;
    options.ifindex = ifindex;
    options.rx_descriptors = 64;
    return options;
}

class DpdkPortTest : public testing::Test {
protected:
    static void SetUpTestSuite() {
        const Status started = Eal::start({eal_memory});
        ASSERT_TRUE(started.ok()) << started.error().message;
    }

    static std::unique_ptr<RingDevice> make(const DpdkDeviceOptions& options) {
        auto made = RingDevice::create(options);
        EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
        return made.ok() ? *std::move(made) : nullptr;
    }

    static Bytes pattern(size_t length) {
        Bytes bytes(length);
        for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<u8>(i * 7);
        return bytes;
    }

    static Bytes bytes_of(const Frame& frame) { return {frame.data, frame.end}; }
};

// Two workers, each with its engine, over the tables of one node.
struct TwoWorkers {
    explicit TwoWorkers(Node& node) : counters(*WorkerCounters::create(64, 1024)) {
        view = node.offline().tables();
        counters.fill(view);
        view.scratch = 1;
        view.image = node.offline().snapshot().lines.data();
        router.follow(node.offline().snapshot(), config::Config{});
        second = std::make_unique<Engine>(view, router);
    }

    WorkerCounters counters;
    struct tables view {};
    replay::OfflineRouter router;
    std::unique_ptr<Engine> second;
};

}  // namespace

TEST_F(DpdkPortTest, AFrameArrivesAndLeavesUnchanged) {
    const auto wire = make(options_of("one", 7));
    DpdkPort port(wire->device(), {0}, u16{0});
    ASSERT_TRUE(wire->offer(pattern(100)));
    Frame frame;
    ASSERT_EQ(port.receive({&frame, 1}), 1u);
    EXPECT_EQ(bytes_of(frame), pattern(100));
    EXPECT_EQ(frame.ifindex, 7u);
    EXPECT_GE(frame.data - frame.buffer, 48) << "room for an outer IPv6 and UDP header";
    ASSERT_TRUE(port.send(frame));
    port.flush();
    Bytes left;
    ASSERT_TRUE(wire->take(left));
    EXPECT_EQ(left, pattern(100));
    EXPECT_EQ(port.statistics().received, 1u);
    EXPECT_EQ(port.statistics().sent, 1u);
}

TEST_F(DpdkPortTest, AFrameInSegmentsIsJoinedAndAJumboFrameFits) {
    DpdkDeviceOptions options = options_of("jumbo", 1);
    options.mtu = 9000;
    const auto wire = make(options);
    DpdkPort port(wire->device(), {0}, u16{0});
    for (const size_t length : {1500u, 9014u}) {
        ASSERT_TRUE(wire->offer(pattern(length), 0, 700));
        Frame frame;
        ASSERT_EQ(port.receive({&frame, 1}), 1u) << length;
        EXPECT_EQ(bytes_of(frame), pattern(length));
        port.release(frame);
    }
}

TEST_F(DpdkPortTest, WhatIsLongerThanABufferIsDroppedAndCounted) {
    const auto wire = make(options_of("oversize", 1));
    DpdkPort port(wire->device(), {0}, u16{0});
    ASSERT_TRUE(wire->offer(pattern(5000), 0, 1000));
    Frame frame;
    EXPECT_EQ(port.receive({&frame, 1}), 0u);
    EXPECT_EQ(port.statistics().oversize, 1u);
    EXPECT_EQ(wire->device().statistics().buffers_in_use, 0u);
}

TEST_F(DpdkPortTest, ADryPoolIsCountedByNameAndRecovers) {
    const auto wire = make(options_of("dry", 1));
    DpdkPort port(wire->device(), {0}, u16{0});
    const u32 buffers = wire->device().statistics().buffers;
    std::vector<Frame> held;
    Frame frame;
    while (held.size() + 3 < buffers) {
        ASSERT_TRUE(wire->offer(pattern(60)));
        ASSERT_EQ(port.receive({&frame, 1}), 1u);
        held.push_back(frame);
    }
    ASSERT_TRUE(wire->offer(pattern(300), 0, 100)) << "the last three buffers";
    EXPECT_FALSE(wire->device().inject(pattern(60)));
    EXPECT_EQ(wire->device().statistics().host_no_buffer, 1u);
    EXPECT_EQ(port.receive({&frame, 1}), 0u) << "nothing to join the segments in";
    EXPECT_EQ(port.statistics().no_buffer, 1u);
    for (const Frame& each : held) port.release(each);
    EXPECT_EQ(wire->device().statistics().buffers_in_use, 0u) << "every buffer came back";
    ASSERT_TRUE(wire->offer(pattern(300), 0, 100));
    ASSERT_EQ(port.receive({&frame, 1}), 1u);
    port.release(frame);
}

// net_af_xdp tells the kernel one area of that many buffers end to end; what lies outside of it is lost.
TEST_F(DpdkPortTest, BuffersLieEndToEndInOneArea) {
    constexpr u64 page = 4096;
    const auto wire = make(options_of("area", 1));
    const DpdkDevice& device = wire->device();
    const auto areas = device.buffer_areas();
    ASSERT_EQ(areas.size(), 1u);
    const u64 buffers = wire->device().statistics().buffers;
    EXPECT_LE(areas.front().size(), buffers * buffer_footprint(device.buffer_size()) + page);
    EXPECT_TRUE(lies_end_to_end(device.pool()));
}

// A frame may leave by a card, which fetches it from there.
TEST_F(DpdkPortTest, ABufferHasTheAddressThatDevicesKnowItBy) {
    const auto wire = make(options_of("address", 1));
    rte_mbuf* const mbuf = rte_pktmbuf_alloc(wire->device().pool());
    ASSERT_NE(mbuf, nullptr);
    EXPECT_EQ(rte_mbuf_iova_get(mbuf), reinterpret_cast<rte_iova_t>(mbuf->buf_addr));
    EXPECT_EQ(rte_mempool_virt2iova(mbuf), reinterpret_cast<rte_iova_t>(mbuf));
    rte_pktmbuf_free(mbuf);
}

TEST_F(DpdkPortTest, AFullTransmitQueueRefusesAndLosesNothing) {
    auto made = RingDevice::create(options_of("full", 1), 64);
    ASSERT_TRUE(made.ok());
    const auto wire = *std::move(made);
    DpdkPort port(wire->device(), {0}, u16{0});
    u32 sent = 0;
    std::vector<Frame> frame(1);
    constexpr u32 far_too_many = 1000;
    while (sent < far_too_many) {
        ASSERT_TRUE(wire->offer(pattern(60)));
        ASSERT_EQ(port.receive(frame), 1u);
        if (!port.send(frame[0])) break;
        ++sent;
    }
    ASSERT_LT(sent, far_too_many);
    EXPECT_EQ(port.statistics().transmit_full, 1u);
    port.release(frame[0]);
    Bytes left;
    u32 arrived = 0;
    for (int i = 0; i < 4; ++i) {  // a ring's worth, and what waited in the port
        while (wire->take(left)) ++arrived;
        port.flush();
    }
    EXPECT_EQ(arrived, sent);
    EXPECT_EQ(wire->device().statistics().buffers_in_use, 0u);
}

TEST_F(DpdkPortTest, AWorkerWithoutAQueueOfItsOwnSendsByTheInlet) {
    const auto wire = make(options_of("inlet", 1));
    DpdkPort owner(wire->device(), {0}, u16{0});
    DpdkPort other(wire->device(), {}, std::nullopt);
    ASSERT_TRUE(wire->offer(pattern(80)));
    Frame frame;
    ASSERT_EQ(owner.receive({&frame, 1}), 1u);
    ASSERT_TRUE(other.send(frame));
    other.flush();
    Bytes left;
    EXPECT_FALSE(wire->take(left));
    owner.flush();
    ASSERT_TRUE(wire->take(left));
    EXPECT_EQ(left, pattern(80));
    EXPECT_EQ(other.statistics().handed_over, 1u);
    EXPECT_EQ(owner.statistics().inlet_sent, 1u);
}

// No RSS steers a ring: the reply of a connection reaches another worker than its first packet did, which
// finds the flow, since all share one table.
TEST_F(DpdkPortTest, AReplyThatMeetsAnotherWorkerFindsItsFlow) {
    Node node(sample());
    TwoWorkers both(node);
    const auto client = make(options_of("client", 1));
    const auto server = make(options_of("server", 3));
    // Worker 0 has the client's receive queue, worker 1 the server's; each sends on the other's device.
    DpdkPort client0(client->device(), {0}, u16{0}), server0(server->device(), {}, std::nullopt);
    DpdkPort client1(client->device(), {}, std::nullopt), server1(server->device(), {0}, u16{0});
    const node_state& state = node.offline().node();
    struct port_counters* const counters0 = node.offline().tables().port_counters;
    Worker<DpdkPort> worker0(node.engine(), state, counters0, {});
    Worker<DpdkPort> worker1(*both.second, state, both.view.port_counters, {});
    worker0.add_port(client0, 1, nullptr);
    worker0.add_port(server0, 3, nullptr);
    worker1.add_port(client1, 1, nullptr);
    worker1.add_port(server1, 3, nullptr);

    const u64 now = 5'000'000'000;
    ASSERT_TRUE(client->offer(dns_query()));
    ASSERT_EQ(worker0.round(now), 1u);
    Bytes query;
    ASSERT_TRUE(client->take(query)) << "the route to the backend leaves by eth0";
    EXPECT_EQ(Ipv4View(query).destination, "10.0.1.12");
    const u16 source_port = Ipv4View(query).source_port;
    const std::string asker = Ipv4View(query).source;
    // The backend's answer comes in by the other worker.
    Bytes answer = ethernet(ipv4({.source = "10.0.1.12", .destination = asker},
                                 udp({.source_port = 5353, .destination_port = source_port})));
    answer[5] = 2;  // to eth1
    ASSERT_TRUE(server->offer(answer));
    ASSERT_EQ(worker1.round(now), 1u);
    worker0.round(now);  // empties the inlet of the client's device
    Bytes reply;
    ASSERT_TRUE(client->take(reply)) << "counted by worker 1: forward "
                                     << both.counters.ports()[3].packets[VERDICT_FORWARD];
    EXPECT_EQ(Ipv4View(reply).source, "192.0.2.10") << "translated back by the flow that worker 0 made";
    EXPECT_EQ(Ipv4View(reply).source_port, 53);
}

TEST_F(DpdkPortTest, AMissingDeviceIsRefusedWithDpdksWords) {
    const auto refused = DpdkDevice::open(options_of("net_pcap9,rx_pcap=/nonexistent.pcap", 1));
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find("nonexistent.pcap"), std::string::npos) << refused.error().message;
    EXPECT_NE(refused.error().message.find("DPDK says"), std::string::npos) << refused.error().message;
    const auto absent = DpdkDevice::open(options_of("0000:fe:1f.7", 1));
    ASSERT_FALSE(absent.ok());
    EXPECT_NE(absent.error().message.find("0000:fe:1f.7"), std::string::npos);
}

TEST_F(DpdkPortTest, MoreQueuesThanTheDeviceHasAreRefused) {
    DpdkDeviceOptions options = options_of("net_null9", 1);
    options.rx_queues = 2000;
    const auto refused = DpdkDevice::open(options);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find("expected at most"), std::string::npos) << refused.error().message;
}

}  // namespace sluice::test
