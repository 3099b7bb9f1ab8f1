// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/engine_sample.h"

namespace sluice {
namespace {

using namespace test;

constexpr u32 denied = VERDICT_DROP | REASON_EVALUATION << 8;

const std::string ask_about_dns =
    "{ name: ask, protocol: udp, action: evaluate, when: { max_connections_per_source: 9 } }";

// The other end of the engine's link, by hand.
class EngineEvaluate : public testing::Test {
protected:
    EngineEvaluate() : link(make_link()), node(sample(ask_about_dns), options()) {}

    static std::shared_ptr<EvaluationLink> make_link() {
        return std::make_shared<EvaluationLink>(std::make_shared<Waker>(*Waker::create()), *Waker::create());
    }
    EngineOptions options() const {
        EngineOptions options;
        options.evaluation = link;
        options.waiting_evaluations = 8;
        options.evaluation_ns = Node::second;
        return options;
    }
    std::optional<EvaluationQuestion> question() {
        const EvaluationQuestion* front = link->questions.front();
        if (front == nullptr) return std::nullopt;
        const EvaluationQuestion copy = *front;
        link->questions.pop();
        return copy;
    }
    void answer(const EvaluationQuestion& question, u32 word) {
        ASSERT_TRUE(link->answers.push({question.ticket, word}));
    }

    std::shared_ptr<EvaluationLink> link;
    Node node;
};

TEST_F(EngineEvaluate, TheFirstPacketWaitsForItsVerdictAndTheRestIsNotAskedAbout) {
    EXPECT_TRUE(node.run({dns_query()}).empty());
    EXPECT_EQ(node.engine().waiting(), 1u);
    const auto asked = question();
    ASSERT_TRUE(asked);
    EXPECT_EQ(asked->destination_port, 53);
    EXPECT_EQ(asked->protocol, PROTOCOL_UDP);
    EXPECT_EQ(asked->arrived_ns, node.now_ns);
    EXPECT_FALSE(asked->known);
    EXPECT_EQ(node.offline().counters().rules()[0].packets, 0u);  // not decided yet
    answer(*asked, 0);
    EXPECT_TRUE(node.engine().answered());
    const std::vector<Outcome> out = node.expire();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].decision.word, u32{VERDICT_FORWARD});
    EXPECT_EQ(out[0].decision.rule, 1u);
    EXPECT_EQ(node.offline().counters().rules()[0].packets, 1u);
    EXPECT_EQ(node.run_one(dns_query()).verdict(), u32{VERDICT_FORWARD});
    EXPECT_FALSE(question());
    expect_books_close(node);
}

TEST_F(EngineEvaluate, ADeniedFlowStaysDeniedWithoutAnotherQuestionUntilItsTimeIsUp) {
    EXPECT_TRUE(node.run({dns_query()}).empty());
    answer(*question(), drop(REASON_EVALUATION));
    EXPECT_EQ(node.expire().at(0).decision.word, denied);
    node.now_ns += Node::second;
    const Outcome again = node.run_one(dns_query());
    EXPECT_EQ(again.decision.word, denied);
    EXPECT_EQ(again.decision.rule, 1u);
    EXPECT_FALSE(question());
    EXPECT_EQ(node.port(1).drops[REASON_EVALUATION], 2u);
    node.now_ns += 70 * Node::second;  // timeouts.udp is 60 s
    EXPECT_TRUE(node.run({dns_query()}).empty());
    EXPECT_TRUE(question());
    expect_books_close(node);
}

TEST_F(EngineEvaluate, FewPacketsOfAnUndecidedFlowAreHeldInOrderAndTheOthersDropWithTheirReason) {
    std::vector<Bytes> frames;
    for (int i = 0; i < 6; i++)
        frames.push_back(ethernet(ipv4({}, udp({.source_port = 40000, .payload = std::string(1 + i, 'x')}))));
    const std::vector<Outcome> dropped = node.run(frames);
    ASSERT_EQ(dropped.size(), 2u);
    for (const Outcome& outcome : dropped) EXPECT_EQ(outcome.decision.word, drop(REASON_EVALUATION_WAIT));
    const auto asked = question();
    EXPECT_FALSE(question());  // once per flow
    answer(*asked, 0);
    const std::vector<Outcome> out = node.expire();
    ASSERT_EQ(out.size(), 4u);
    for (u32 i = 0; i < 4; i++) {
        EXPECT_EQ(out[i].verdict(), u32{VERDICT_FORWARD});
        EXPECT_EQ(out[i].number, i);
    }
    expect_books_close(node);
}

TEST_F(EngineEvaluate, FramesThatWaitAreBoundedOverAllFlows) {
    std::vector<Bytes> frames;
    for (u16 i = 0; i < 12; i++) frames.push_back(dns_query(static_cast<u16>(41000 + i)));
    const std::vector<Outcome> out = node.run(frames);
    ASSERT_EQ(out.size(), 4u);
    EXPECT_EQ(out[0].decision.word, drop(REASON_EVALUATION_WAIT));
    EXPECT_EQ(node.engine().waiting(), 8u);
    expect_books_close(node);
}

TEST_F(EngineEvaluate, AVerdictThatDoesNotComeInTimeIsADropOfItsOwnReason) {
    EXPECT_TRUE(node.run({dns_query()}).empty());
    const auto asked = question();
    node.now_ns += Node::second + 1;
    EXPECT_EQ(node.expire().at(0).decision.word, drop(REASON_EVALUATION_TIMEOUT));
    answer(*asked, 0);  // too late: to be asked anew
    EXPECT_TRUE(node.expire().empty());
    EXPECT_TRUE(node.run({dns_query()}).empty());
    EXPECT_TRUE(question());
    ASSERT_EQ(node.flush().size(), 1u);
    expect_books_close(node);
}

TEST_F(EngineEvaluate, WhereNobodyCanBeAskedTheFallbackDecidesAndIsCounted) {
    Node alone(sample(ask_about_dns));
    EXPECT_EQ(alone.run_one(dns_query()).decision.word, drop(REASON_EVALUATION_OVERLOAD));
    EXPECT_EQ(alone.offline().counters().worker().evaluations_unasked, 1u);
    Node open(sample("{ name: ask, protocol: udp, action: evaluate, when: { overload: allow } }"));
    EXPECT_EQ(open.run_one(dns_query()).verdict(), u32{VERDICT_FORWARD});
    EXPECT_EQ(open.offline().counters().worker().evaluations_unasked, 1u);
    expect_books_close(alone);
}

TEST_F(EngineEvaluate, AFullQueueGetsTheFallbackAndNothingIsLost) {
    std::vector<Bytes> frames;
    u64 overload = 0, held_or_waiting = 0;
    for (u32 i = 0; i < 6000; i++) {
        for (const Outcome& outcome : node.run({dns_query(static_cast<u16>(2000 + i))}))
            (outcome.decision.word == drop(REASON_EVALUATION_OVERLOAD) ? overload : held_or_waiting)++;
    }
    EXPECT_GE(overload, 6000 - EvaluationLink::capacity);
    EXPECT_EQ(overload, node.offline().counters().worker().evaluations_unasked);
    EXPECT_EQ(overload + held_or_waiting + node.engine().waiting(), 6000u);
    expect_books_close(node);
}

TEST_F(EngineEvaluate, AfterAReloadAFlowGoesOnWhileItIsJudgedAnew) {
    EXPECT_TRUE(node.run({dns_query()}).empty());
    answer(*question(), 0);
    EXPECT_EQ(node.expire().size(), 1u);
    node.reload(sample(ask_about_dns));
    EXPECT_EQ(node.run_one(dns_query()).verdict(), u32{VERDICT_FORWARD});
    const auto asked = question();
    ASSERT_TRUE(asked);
    EXPECT_TRUE(asked->known);
    EXPECT_EQ(asked->ticket, 0u);
    EXPECT_EQ(node.run_one(dns_query()).verdict(), u32{VERDICT_FORWARD});
    EXPECT_FALSE(question());
}

TEST_F(EngineEvaluate, AVerdictAskedForBeforeAReloadIsNoneAfterIt) {
    EXPECT_TRUE(node.run({dns_query()}).empty());
    const auto before = question();
    node.reload(sample(ask_about_dns));
    answer(*before, 0);
    EXPECT_TRUE(node.expire().empty());  // the frame goes on waiting, its flow is asked about anew
    const auto after = question();
    ASSERT_TRUE(after);
    answer(*after, drop(REASON_EVALUATION));
    EXPECT_EQ(node.expire().at(0).decision.word, denied);
    expect_books_close(node);
}

TEST_F(EngineEvaluate, AFlowThatFindsNoRoomForItsQuestionAfterAReloadAsksWithItsNextPacket) {
    EXPECT_TRUE(node.run({dns_query()}).empty());
    answer(*question(), 0);
    EXPECT_EQ(node.expire().size(), 1u);
    node.reload(sample(ask_about_dns));
    while (link->questions.push({.ticket = 1})) continue;
    EXPECT_EQ(node.run_one(dns_query()).verdict(), u32{VERDICT_FORWARD});
    while (link->questions.front() != nullptr) {
        EXPECT_EQ(link->questions.front()->ticket, 1u);
        link->questions.pop();
    }
    EXPECT_EQ(node.run_one(dns_query()).verdict(), u32{VERDICT_FORWARD});
    EXPECT_TRUE(question());
    EXPECT_EQ(node.run_one(dns_query()).verdict(), u32{VERDICT_FORWARD});
    EXPECT_FALSE(question());
}

TEST_F(EngineEvaluate, AReloadEndsADenial) {
    EXPECT_TRUE(node.run({dns_query()}).empty());
    answer(*question(), drop(REASON_EVALUATION));
    EXPECT_EQ(node.expire().at(0).decision.word, denied);
    node.reload(sample());
    EXPECT_EQ(node.run_one(dns_query()).verdict(), u32{VERDICT_FORWARD});
}

TEST_F(EngineEvaluate, Ipv6FlowsOfEqualFoldsAreTwoQuestions) {
    EXPECT_TRUE(node.run({ethernet(ipv6({}, udp({.source_port = 40000})))}).empty());
    const auto first = question();
    ASSERT_TRUE(first);
    EXPECT_EQ(first->family, 6);
    answer(*first, drop(REASON_EVALUATION));
    EXPECT_EQ(node.expire().at(0).decision.word, denied);
    EXPECT_EQ(node.run_one(ethernet(ipv6({}, udp({.source_port = 40000})))).decision.word, denied);
}

}  // namespace
}  // namespace sluice
