// SPDX-License-Identifier: Apache-2.0
//
// A node from the text of a configuration, and frames run through its engine.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "control/config/loader.h"
#include "control/replay/offline_node.h"
#include "tests/support/packets.h"

namespace sluice::test {

struct Outcome {
    Decision decision;
    Bytes frame;
    u32 number = 0;  // of the input frame, in the order given to run()

    u32 verdict() const { return verdict_of(decision.word); }
};

class Node {
public:
    static constexpr u64 second = 1'000'000'000;

    explicit Node(const std::string& yaml, const EngineOptions& options = {}) {
        Result<config::Config> config = config::load_text(yaml, "test.yaml");
        if (!config) throw std::runtime_error(config.error().message);
        Result<std::unique_ptr<replay::OfflineNode>> node = replay::OfflineNode::create(*config, options);
        if (!node) throw std::runtime_error(node.error().message);
        node_ = std::move(*node);
    }

    void reload(const std::string& yaml) {
        Result<config::Config> config = config::load_text(yaml, "test.yaml");
        if (!config) throw std::runtime_error(config.error().message);
        if (Status status = node_->reload(*config); !status) throw std::runtime_error(status.error().message);
    }

    // All in one call of the engine. What was finished meanwhile, in that order.
    std::vector<Outcome> run(const std::vector<Bytes>& frames, u32 ifindex = 1) {
        std::vector<Frame> batch;
        for (const Bytes& bytes : frames) batch.push_back(load(bytes, ifindex));
        engine().run(batch, now_ns, *this);
        return std::exchange(done_, {});
    }

    Outcome run_one(const Bytes& frame, u32 ifindex = 1) {
        std::vector<Outcome> outcomes = run({frame}, ifindex);
        EXPECT_EQ(outcomes.size(), 1u);
        return outcomes.empty() ? Outcome{} : outcomes.front();
    }

    std::vector<Outcome> expire() {
        engine().expire(now_ns, *this);
        return std::exchange(done_, {});
    }

    std::vector<Outcome> flush() {
        engine().flush(now_ns, *this);
        return std::exchange(done_, {});
    }

    void finish(Frame& frame, const Decision& decision) {
        const auto at = buffers_.find(frame.tag);
        ASSERT_NE(at, buffers_.end()) << "frame " << frame.tag << " finished twice";
        done_.push_back({decision, Bytes(frame.data, frame.end), frame.tag});
        buffers_.erase(at);
    }

    Engine& engine() { return node_->engine(); }
    replay::OfflineNode& offline() { return *node_; }
    const port_counters& port(u32 number) const { return node_->counters().ports()[number]; }

    u64 now_ns = 1000 * second;

private:
    Frame load(const Bytes& bytes, u32 ifindex) {
        Frame frame;
        frame.tag = next_++;
        Bytes& buffer = buffers_[frame.tag];
        buffer.assign(256, 0xee);
        buffer.insert(buffer.end(), bytes.begin(), bytes.end());
        frame.buffer = buffer.data();
        frame.data = buffer.data() + 256;
        frame.end = buffer.data() + buffer.size();
        frame.ifindex = ifindex;
        return frame;
    }

    std::unique_ptr<replay::OfflineNode> node_;
    std::map<u32, Bytes> buffers_;
    std::vector<Outcome> done_;
    u32 next_ = 0;
};

// The packet behind an untagged link header.
inline Bytes packet_of(const Bytes& frame, size_t link = 14) {
    return {frame.begin() + static_cast<long>(link), frame.end()};
}

// received = sum over verdicts + what waits, on every port.
inline void expect_books_close(Node& node) {
    u64 received = 0, settled = 0;
    for (const port_counters& port : node.offline().counters().ports()) {
        received += port.received_packets;
        u64 drops = 0;
        for (const u64 count : port.packets) settled += count;
        for (const u64 count : port.drops) drops += count;
        EXPECT_EQ(drops, port.packets[VERDICT_DROP]);
    }
    EXPECT_EQ(received, settled + node.engine().waiting());
}

}  // namespace sluice::test
