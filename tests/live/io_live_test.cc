// SPDX-License-Identifier: Apache-2.0
//
// The XDP and AF_XDP tiers on real devices: datagrams to a VIP, through the kernel's program alone and
// through sockets and an engine.
#include "tests/live/live_io.h"

namespace sluice::live {
namespace {

TEST_F(LiveIo, XdpServesBothDirectionsAlone) {
    publish("xdp");
    attach();
    std::thread server = echo_server(20);
    EXPECT_EQ(ask(20), 20) << story();
    server.join();
    const port_counters client = xdp_counters(1);
    const port_counters backend = xdp_counters(2);
    EXPECT_EQ(client.packets[VERDICT_FORWARD], 20);
    EXPECT_EQ(backend.packets[VERDICT_FORWARD], 20);
    EXPECT_EQ(client.received_packets, client.packets[VERDICT_FORWARD] + client.packets[VERDICT_PASS] +
                                           client.packets[VERDICT_DROP] + client.packets[VERDICT_PUNT]);
}

TEST_F(LiveIo, TraceShowsEveryPacketAskedFor) {
    publish("xdp");
    std::vector<trace_event> events;
    auto reader =
        TraceReader::open(dataplane_->maps(), [&](const trace_event& event) { events.push_back(event); });
    ASSERT_TRUE(reader) << reader.error().message;
    dataplane_->node().trace_every = 1;
    attach();
    std::thread server = echo_server(4);
    EXPECT_EQ(ask(4), 4);
    server.join();
    ASSERT_TRUE((*reader)->drain());
    int queries = 0;
    for (const trace_event& event : events) {
        if (event.family != 4 || event.port != 1 || event.destination_port != 53) continue;
        EXPECT_EQ(event.word, static_cast<u32>(VERDICT_FORWARD));
        EXPECT_EQ(event.protocol, 17);
        EXPECT_EQ(event.backend, 1u);
        ++queries;
    }
    EXPECT_EQ(queries, 4);
}

TEST_F(LiveIo, CaptureShowsPacketsAsTheyComeAndLeave) {
    publish("xdp");
    std::vector<std::pair<Captured, std::vector<u8>>> packets;
    auto capture =
        XdpCapture::open(dataplane_->maps(), [&](const Captured& packet, std::span<const u8> bytes) {
            packets.emplace_back(packet, std::vector<u8>(bytes.begin(), bytes.end()));
        });
    ASSERT_TRUE(capture) << capture.error().message;
    attach();
    dataplane_->node().capture = 42;  // to the end of the datagrams' headers
    std::thread server = echo_server(4);
    EXPECT_EQ(ask(4), 4);
    server.join();
    ASSERT_TRUE((*capture)->drain());
    int came = 0;
    int left = 0;
    for (const auto& [packet, bytes] : packets) {
        if (packet.port != 1 || packet.word != static_cast<u32>(VERDICT_FORWARD)) continue;
        EXPECT_EQ(packet.backend, 1u);
        ASSERT_EQ(bytes.size(), 42u);
        EXPECT_GT(packet.length, 42u);
        EXPECT_EQ(bytes[33] == 10, !packet.leaves);  // the VIP ends so, the backend does not
        packet.leaves ? ++left : ++came;
    }
    EXPECT_EQ(came, 4);
    EXPECT_EQ(left, 4);
    EXPECT_EQ((*capture)->lost(), 0u);
}

TEST_F(LiveIo, ProgramAndFlowsOutliveTheDaemon) {
    publish("xdp");
    attach();
    const u32 program = dataplane_->attacher().attachments().front().program_id;
    dataplane_.reset();  // as after kill -9: nothing is cleaned up
    image_.reset();
    std::thread server = echo_server(5);
    EXPECT_EQ(ask(5), 5) << story();
    server.join();
    open();
    EXPECT_TRUE(dataplane_->maps().adopted()) << dataplane_->maps().adoption_note();
    ASSERT_NE(dataplane_->maps().image(), nullptr);
    EXPECT_EQ(dataplane_->maps().image()->generation, 1u);
    auto again = dataplane_->attacher().attach("n0", if_nametoindex("n0"));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(again->adopted);
    EXPECT_EQ(again->program_id, program);
}

TEST_F(LiveIo, EngineServesWhatTheProgramHandsOver) {
    publish("af_xdp");
    start_worker();
    attach();
    std::thread server = echo_server(20);
    EXPECT_EQ(ask(20), 20) << story();
    server.join();
    worker_->stop();
    EXPECT_EQ(xdp_counters(1).punts[PUNT_SERVICE], 20);
    EXPECT_EQ(counters_->ports()[1].packets[VERDICT_FORWARD], 20);
    EXPECT_EQ(counters_->ports()[2].packets[VERDICT_FORWARD], 20);
}

TEST_F(LiveIo, MillionFramesAreConservedOverFourQueues) {
    constexpr u64 count = 1'000'000;
    publish("af_xdp");
    start_worker();
    attach();
    flood(count);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    worker_->stop();
    u64 received = 0;
    u64 lost = 0;
    for (const auto& port : sockets_->ports()) {
        const XskStatistics statistics = port->statistics();
        std::printf("%s queue %u: received %lu sent %lu ring full %lu dropped %lu fill ring empty %lu\n",
                    port->where().interface.c_str(), port->where().queue, statistics.received,
                    statistics.sent, statistics.rx_ring_full, statistics.rx_dropped,
                    statistics.rx_fill_ring_empty);
        EXPECT_EQ(statistics.rx_invalid + statistics.tx_invalid, 0u);
        if (port->where().device != 1) continue;
        EXPECT_GT(statistics.received, 0u) << "queue " << port->where().queue;
        received += statistics.received;
        lost += statistics.rx_ring_full + statistics.rx_dropped;  // the latter has those for want of a buffer
    }
    const FrameCensus census = sockets_->census(static_cast<u32>(engine_->waiting()));
    EXPECT_TRUE(census.adds_up()) << census.free << " free, " << census.in_fill << " fill, "
                                  << census.in_receive << " rx, " << census.in_transmit << " tx, "
                                  << census.in_completion << " completion, " << census.in_kernel
                                  << " kernel of " << census.total;
    EXPECT_EQ(census.in_transmit, 0u);
    const Status verified = sockets_->verify();
    EXPECT_TRUE(verified) << verified.error().message;
    const port_counters xdp = xdp_counters(1);
    EXPECT_EQ(xdp.punts[PUNT_SERVICE], received + lost);
    const port_counters& engine = counters_->ports()[1];
    EXPECT_EQ(engine.received_packets, received);
    EXPECT_EQ(engine.received_packets,
              engine.packets[VERDICT_FORWARD] + engine.packets[VERDICT_DROP] + engine.packets[VERDICT_PASS]);
    const WorkerStatistics worker = worker_->statistics();
    std::printf("worker: %lu frames, %.0f ns each, busy %.2f\n", worker.frames,
                static_cast<double>(worker.busy_ns) / static_cast<double>(worker.frames),
                static_cast<double>(worker.busy_ns) / static_cast<double>(worker.total_ns));
}

}  // namespace
}  // namespace sluice::live
