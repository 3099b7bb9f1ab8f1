// SPDX-License-Identifier: Apache-2.0
#include <random>
#include <thread>

#include "tests/unit/engine_sample.h"

namespace sluice {
namespace {

using namespace test;

const std::string tunnels =
    "tunnels: [{ type: ipip, address: 10.0.0.200 }, { type: ipip, address: \"2001:db8::200\" },"
    " { type: gue, address: 10.0.0.201 }]\n";

TEST(EnginePipeline, WhatNothingClaimsPassesUntouched) {
    Node node(sample("", tunnels));
    const Bytes frames[] = {
        ethernet(ipv4({.destination = "198.51.100.1"}, udp())),
        ethernet(ipv4({.destination = "192.0.2.10"}, tcp({.destination_port = 81}))),
        ethernet(ipv4({.destination = "10.0.0.254"}, tcp())),
        ethernet(ipv4({}, tcp()), {.destination = {2, 0, 0, 0, 0, 9}}),
        ethernet(ipv4({}, tcp()), {.vlans = {7}}),
        Bytes{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 8, 6} + Bytes(28),
        ethernet(ipv4({.destination = "10.0.0.200"}, tcp())),
        ethernet(ipv4({.destination = "10.0.0.200"},
                      {PROTOCOL_IPIP, ipv4({.destination = "198.51.100.1"}, udp())})),
        ethernet(ipv4({.destination = "10.0.0.201"},
                      udp({.destination_port = 6080, .payload = "\x01 gue variant 0"}))),
    };
    for (const Bytes& frame : frames) {
        const Outcome out = node.run_one(frame);
        EXPECT_EQ(out.decision.word, u32{VERDICT_PASS});
        EXPECT_EQ(out.frame, frame);
    }
    expect_books_close(node);
}

TEST(EnginePipeline, DropsNameTheirReason) {
    Node node(sample("{ name: closed, to: [192.0.2.10/32], protocol: udp, ports: \"53\", action: drop }"));
    const Outcome policy = node.run_one(dns_query());
    EXPECT_EQ(policy.decision.word, drop(REASON_POLICY));
    EXPECT_EQ(policy.decision.rule, 1u);
    EXPECT_EQ(node.offline().counters().rules()[0].packets, 1u);
    EXPECT_EQ(node.run_one(ethernet(ipv4({.destination = "192.0.2.15"}, udp()))).decision.word,
              drop(REASON_NO_BACKEND));
    EXPECT_EQ(node.run_one(ethernet(ipv4({.destination = "10.50.7.1"}, udp()))).decision.word,
              drop(REASON_NO_NEIGHBOR));
    EXPECT_EQ(node.offline().counters().worker().neighbors_missing, 1u);
    EXPECT_EQ(node.port(1).drops[REASON_NO_NEIGHBOR], 1u);
    expect_books_close(node);
}

TEST(EnginePipeline, AnEchoRequestToAVipIsAnswered) {
    Node node(sample());
    const Outcome out =
        node.run_one(ethernet(ipv4({.ttl = 3}, icmp(PROTOCOL_ICMP, ICMP_ECHO, 0, 5, 6, text("ping")))));
    EXPECT_EQ(out.decision.word, u32{VERDICT_FORWARD});
    EXPECT_EQ(out.decision.egress, 1u);
    EXPECT_EQ(Ipv4View(out.frame).source, "192.0.2.10");
    EXPECT_EQ(Ipv4View(out.frame).ttl, 64);
    EXPECT_EQ(out.frame[34], ICMP_ECHO_REPLY);
    ip_checked(out.frame);
}

class TunnelKind : public testing::TestWithParam<int> {};

// 4in4, 6in4, 4in6, 6in6, GUE: what is inside is served as if it had come by itself.
TEST_P(TunnelKind, TheInnerPacketIsServed) {
    Node node(sample("", tunnels));
    const int kind = GetParam();
    const bool inner6 = kind == 1 || kind == 3;
    const Bytes inner = inner6 ? ipv6({}, udp()) : ipv4({}, udp());
    const u8 protocol = inner6 ? PROTOCOL_IPV6 : PROTOCOL_IPIP;
    Bytes outer;
    if (kind < 2) outer = ipv4({.destination = "10.0.0.200"}, {protocol, inner});
    if (kind == 2 || kind == 3) outer = ipv6({.destination = "2001:db8::200"}, {protocol, inner});
    if (kind == 4) {
        outer = ipv4({.destination = "10.0.0.201"},
                     udp({.destination_port = GUE_PORT, .payload = std::string(inner.begin(), inner.end())}));
    }
    for (const bool tagged : {false, true}) {
        const Outcome direct = node.run_one(ethernet(inner));
        const Bytes frame = tagged ? ethernet(outer, {.vlans = {200}}) + Bytes(6) : ethernet(outer);
        const Outcome out = node.run_one(frame);
        ASSERT_EQ(out.decision.word, u32{VERDICT_FORWARD});
        EXPECT_EQ(out.frame, direct.frame);
        const u64 counted = node.port(tagged ? 2 : 1).bytes[VERDICT_FORWARD];
        EXPECT_EQ(counted, tagged ? frame.size() : node.port(1).received_bytes);  // as received
    }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TunnelKind, testing::Range(0, 5));

TEST(EnginePipeline, ATunnelInATunnelIsDropped) {
    Node node(sample("", tunnels));
    const Bytes inner = ipv4({.destination = "10.0.0.200"}, {PROTOCOL_IPIP, ipv4({}, udp())});
    const Outcome out = node.run_one(ethernet(ipv4({.destination = "10.0.0.200"}, {PROTOCOL_IPIP, inner})));
    EXPECT_EQ(out.decision.word, drop(REASON_TUNNEL_NESTED));
}

TEST(EnginePipeline, AFragmentInATunnelWaitsWithItsOuterHeader) {
    Node node(sample("", tunnels));
    const auto parts = fragments_of({}, udp({.payload = std::string(2000, 'f')}), 1400);
    const auto in_tunnel = [](const Bytes& inner) {
        return ethernet(ipv4({.destination = "10.0.0.200"}, {PROTOCOL_IPIP, inner}));
    };
    EXPECT_TRUE(node.run({in_tunnel(parts[1])}).empty());
    const std::vector<Outcome> outcomes = node.run({in_tunnel(parts[0])});
    ASSERT_EQ(outcomes.size(), 2u);
    for (const Outcome& outcome : outcomes) {
        EXPECT_EQ(outcome.decision.word, u32{VERDICT_FORWARD});
        EXPECT_EQ(dotted(outcome.frame, 30), "10.0.1.12");
    }
    expect_books_close(node);
}

// A router that learns a neighbour after a while.
struct Learning final : Router {
    bool known = false;
    u32 route(const pipeline_context&, const struct address&, next_hop& hop) override {
        if (!known) return drop(REASON_NO_NEIGHBOR);
        hop = {{2, 0, 0, 0, 0, 7}, 1};
        return 0;
    }
};

struct Collect {
    std::vector<Outcome> done;
    void finish(Frame& frame, const Decision& decision) {
        done.push_back({decision, Bytes(frame.data, frame.end), frame.tag});
    }
};

class EngineNeighbors : public testing::Test {
protected:
    EngineNeighbors() : engine_(node_.offline().tables(), router_, {.waiting_neighbors = 4}) {
        engine_.set_image(node_.offline().snapshot().lines.data());
    }

    void send(u16 port) {
        buffers_.push_back(Bytes(256) +
                           ethernet(ipv4({.destination = "10.50.7.1"}, udp({.source_port = port}))));
        Frame frame;
        frame.buffer = buffers_.back().data();
        frame.data = frame.buffer + 256;
        frame.end = frame.buffer + buffers_.back().size();
        frame.ifindex = 1;
        frame.tag = port;
        engine_.run({&frame, 1}, now_, out_);
    }

    Node node_{sample()};
    Learning router_;
    Engine engine_;
    Collect out_;
    std::vector<Bytes> buffers_;
    u64 now_ = 5000 * Node::second;
};

TEST_F(EngineNeighbors, PacketsWaitUntilTheNeighbourIsKnown) {
    send(1);
    send(2);
    EXPECT_TRUE(out_.done.empty());
    EXPECT_EQ(engine_.waiting(), 2u);
    engine_.expire(now_, out_);
    EXPECT_TRUE(out_.done.empty());
    router_.known = true;
    node_.offline().node().route_epoch++;
    engine_.expire(now_, out_);
    ASSERT_EQ(out_.done.size(), 2u);
    EXPECT_EQ(out_.done[0].number, 1u);
    EXPECT_EQ(out_.done[1].number, 2u);
    EXPECT_EQ(out_.done[0].verdict(), VERDICT_FORWARD);
    EXPECT_EQ(out_.done[0].frame[5], 7);
}

TEST_F(EngineNeighbors, OneThatStaysUnknownDropsThemAfterASecond) {
    send(1);
    now_ += Node::second / 2;
    node_.offline().node().route_epoch++;  // something else changed: they are tried again, and wait on
    engine_.expire(now_, out_);
    EXPECT_EQ(engine_.waiting(), 1u);
    now_ += Node::second / 2 + 1;
    engine_.expire(now_, out_);
    ASSERT_EQ(out_.done.size(), 1u);
    EXPECT_EQ(out_.done[0].decision.word, drop(REASON_NO_NEIGHBOR));
}

TEST_F(EngineNeighbors, TheirNumberIsBounded) {
    for (u16 i = 1; i <= 6; i++) send(i);
    EXPECT_EQ(engine_.waiting(), 4u);
    ASSERT_EQ(out_.done.size(), 2u);
    EXPECT_EQ(out_.done[0].decision.word, drop(REASON_WAIT_FULL));
}

// A batch of everything at once gives what packets one by one give, in order.
TEST(EnginePipeline, ABatchIsItsPacketsOneByOne) {
    Node one(sample("", tunnels)), all(sample("", tunnels));
    std::mt19937 random(11);
    std::vector<Bytes> frames;
    const std::string vips[] = {"192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14",
                                "192.0.2.15", "10.50.8.1",  "10.50.7.1",  "10.0.0.254"};
    for (int i = 0; i < 1000; i++) {
        const std::string& to = vips[random() % std::size(vips)];
        const u16 port = static_cast<u16>(1000 + random() % 50);
        const u8 ttl = random() % 10 == 0 ? 1 : 64;
        Bytes frame = random() % 2
                          ? ethernet(ipv4({.destination = to, .ttl = ttl}, udp({.source_port = port})))
                          : ethernet(ipv4({.destination = to, .ttl = ttl}, tcp({.source_port = port})));
        if (random() % 20 == 0) frame[random() % frame.size()] ^= 1;
        frames.push_back(frame);
    }
    const std::vector<Outcome> batch = all.run(frames);
    ASSERT_EQ(batch.size(), frames.size());
    for (size_t i = 0; i < frames.size(); i++) {
        const Outcome single = one.run_one(frames[i]);
        EXPECT_EQ(batch[i].number, i);
        ASSERT_EQ(batch[i].decision.word, single.decision.word) << i;
        ASSERT_EQ(batch[i].frame, single.frame) << i;
    }
    expect_books_close(all);
    EXPECT_EQ(std::memcmp(&one.port(1), &all.port(1), sizeof(port_counters)), 0);
}

TEST(EnginePipeline, AReloadAsksKnownFlowsAgain) {
    Node node(sample());
    EXPECT_EQ(node.run_one(dns_query()).verdict(), VERDICT_FORWARD);
    node.reload(sample("{ name: closed, protocol: udp, action: drop }"));
    const Outcome out = node.run_one(dns_query());
    EXPECT_EQ(out.decision.word, drop(REASON_POLICY));
    node.reload(sample());
    EXPECT_EQ(node.run_one(dns_query()).verdict(), VERDICT_FORWARD);
}

// One thread runs packets, another swaps images: none is used after the engine has left it.
TEST(EnginePipeline, AnImageIsLeftBeforeItIsFreed) {
    Node node(sample());
    Engine& engine = node.engine();
    const compile::Lines original = node.offline().snapshot().lines;
    std::atomic<bool> stop{false};
    std::thread control([&] {
        std::unique_ptr<compile::Lines> current;
        for (int i = 0; i < 300; i++) {
            auto next = std::make_unique<compile::Lines>(original);
            engine.set_image(next->data());
            const u64 epoch = engine.epoch();
            while (!engine.passed(epoch)) std::this_thread::yield();
            if (current) std::fill(current->begin(), current->end(), image_line{});
            current = std::move(next);
        }
        engine.set_image(original.data());
        const u64 epoch = engine.epoch();
        while (!engine.passed(epoch)) std::this_thread::yield();
        stop = true;
    });
    u64 forwarded = 0, run = 0;
    while (!stop) {
        run++;
        forwarded += node.run_one(dns_query(static_cast<u16>(run))).verdict() == VERDICT_FORWARD;
    }
    control.join();
    EXPECT_EQ(forwarded, run);
}

}  // namespace
}  // namespace sluice
