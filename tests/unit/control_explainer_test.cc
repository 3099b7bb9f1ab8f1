// SPDX-License-Identifier: Apache-2.0
#include "control/api/json.h"
#include "control/daemon/explainer.h"

#include "tests/unit/engine_sample.h"

namespace sluice::control {
namespace {

using namespace test;

const DeviceTiers engine_alone{false, "af_xdp"};
const DeviceTiers program_alone{true, ""};
const DeviceTiers program_and_engine{true, "af_xdp"};

std::string evaluate_rule(const std::string& when = "max_connections_per_source: 9") {
    return "{ name: ask, protocol: udp, action: evaluate, when: { " + when + " } }";
}

// An explainer over the live tables of an offline node.
class Explained {
public:
    explicit Explained(const std::string& yaml, DeviceTiers tiers = engine_alone)
        : node(yaml), config_(*config::load_text(yaml, "test.yaml")), tiers_(std::move(tiers)) {
        const replay::OfflinePorts& ports = node.offline().ports();
        naming_.identities = node.offline().snapshot().identities;
        for (const config::Rule& rule : config_.policy.rules) naming_.rules.push_back(rule.name);
        for (u32 number = 1; number < ports.names.size(); ++number)
            naming_.ports[number] = ports.names[number];
        if (tiers_.xdp && !tiers_.engine.empty()) node.offline().node().punts = (1U << PUNT_COUNT) - 2;
        explainer_ = make();
    }

    api::ExplainReport operator()(const Bytes& frame) { return explainer_->explain(frame, 1, node.now_ns); }

    Node node;

private:
    std::unique_ptr<Explainer> make() {
        ExplainSubject subject;
        subject.live = node.offline().tables();
        subject.node = &node.offline().node();
        subject.image = node.offline().snapshot().lines.data();
        subject.naming = &naming_;
        subject.kernel = &kernel_;
        subject.policy = &config_.policy;
        subject.tiers = [this](u32) { return tiers_; };
        subject.backend_ends = [](u16) { return false; };
        Result<std::unique_ptr<Explainer>> made = Explainer::create(std::move(subject));
        if (!made) throw std::runtime_error(made.error().message);
        return std::move(*made);
    }

    config::Config config_;
    DeviceTiers tiers_;
    Naming naming_;
    netlink::KernelView kernel_{netlink::KernelData{}};
    std::unique_ptr<Explainer> explainer_;
};

std::string said(const api::ExplainReport& report, const std::string& stage) {
    for (const api::ExplainStep& step : report.steps)
        if (step.stage == stage) return step.says;
    return "";
}

TEST(Explainer, ANewFlowIsToldStageByStage) {
    Explained explain(sample("{ name: dns, protocol: udp, action: allow }"));
    const api::ExplainReport report = explain(dns_query());
    EXPECT_EQ(report.verdict, "forward");
    EXPECT_EQ(report.tier, "af_xdp");
    EXPECT_EQ(report.service, "dns");
    EXPECT_EQ(report.backend, "10.0.1.12:5353");
    EXPECT_EQ(report.rule, "dns");
    EXPECT_EQ(report.interface, "eth0");
    EXPECT_EQ(report.egress, "eth0");
    EXPECT_FALSE(report.known);
    EXPECT_FALSE(report.question);
    EXPECT_EQ(said(report, "flow"), "not known");
    EXPECT_EQ(said(report, "claim"), "service dns");
    EXPECT_EQ(said(report, "policy"), "rule dns (number 1): allow");
    EXPECT_EQ(said(report, "backend"), "10.0.1.12:5353");
    EXPECT_EQ(said(report, "admit"), "a new flow");
    EXPECT_EQ(said(report, "rewrite"), "nat to 10.0.1.12:5353");
}

TEST(Explainer, WhatIsForetoldIsWhatTheEngineDoes) {
    Explained explain(
        sample("{ name: no, protocol: udp, ports: \"53\", from: [203.0.113.0/24], action: drop }"));
    for (const Bytes& frame :
         {dns_query(), ethernet(ipv4({}, tcp({.destination_port = 80}))),
          ethernet(ipv4({.destination = "198.51.100.9"}, udp({.destination_port = 9})))}) {
        const api::ExplainReport report = explain(frame);
        const u32 word = explain.node.run_one(frame).decision.word;
        EXPECT_EQ(report.verdict, api::verdict_name(verdict_of(word)));
        const bool dropped = verdict_of(word) == VERDICT_DROP;
        EXPECT_EQ(report.reason, dropped ? api::reason_name(detail_of(word)) : "");
    }
}

TEST(Explainer, NothingIsEnteredOrCountedInTheLiveTables) {
    Explained explain(sample("{ name: dns, protocol: udp, action: allow }"));
    explain(dns_query());
    EXPECT_TRUE(explain(dns_query()).known);  // by the explainer's own table
    EXPECT_EQ(explain.node.offline().counters().rules()[0].packets, 0u);
    EXPECT_EQ(explain.node.port(1).received_packets, 0u);
    const Outcome live = explain.node.run_one(dns_query());
    EXPECT_EQ(explain.node.offline().counters().rules()[0].packets, 1u) << "the live flow is a new one";
    EXPECT_EQ(live.verdict(), u32{VERDICT_FORWARD});
}

TEST(Explainer, ALiveFlowIsKnown) {
    Explained explain(sample());
    explain.node.run_one(dns_query());
    const api::ExplainReport report = explain(dns_query());
    EXPECT_TRUE(report.known);
    EXPECT_EQ(report.backend, "10.0.1.12:5353");
    EXPECT_NE(said(report, "flow").find("a packet of the initiator"), std::string::npos)
        << said(report, "flow");
}

TEST(Explainer, AnEvaluateRuleIsToldAsAQuestionWithWhatFollowsEachAnswer) {
    Explained explain(sample(evaluate_rule(
        "schedule: \"Mon-Fri 08:00-18:00 UTC\", max_connections_per_source: 9, new_connections: 100/s,"
        " authorizer: { url: \"http://127.0.0.1:8181/allow\", timeout: 200ms, on_failure: allow }")));
    const api::ExplainReport report = explain(dns_query());
    EXPECT_EQ(report.verdict, "evaluate");
    EXPECT_EQ(report.reason, "");
    EXPECT_EQ(report.rule, "ask");
    EXPECT_EQ(report.backend, "10.0.1.12:5353");
    ASSERT_TRUE(report.question);
    const std::vector<std::string> asks = {
        "schedule", "authorizer http://127.0.0.1:8181/allow (no answer in 200 ms: allow)",
        "connections of the source (at most 9)", "new connections of the rule (at most 100/s)"};
    EXPECT_EQ(report.question->asks, asks);
    EXPECT_EQ(report.question->allowed, "forward");
    EXPECT_EQ(report.question->denied, "drop, evaluation");
    EXPECT_EQ(report.question->unasked, "drop, evaluation_overload");
    EXPECT_EQ(said(report, "policy"),
              "rule ask (number 1): evaluate, asked about first; what follows is for the answer yes");
}

TEST(Explainer, AnEvaluateRuleThatAllowsUnderOverloadSaysSo) {
    Explained explain(sample(evaluate_rule("max_connections_per_source: 9, overload: allow")));
    const api::ExplainReport report = explain(dns_query());
    ASSERT_TRUE(report.question);
    EXPECT_EQ(report.question->unasked, "forward");
}

TEST(Explainer, TheProgramHandsAQuestionToTheEngine) {
    Explained explain(sample(evaluate_rule()), program_and_engine);
    const api::ExplainReport report = explain(dns_query());
    EXPECT_EQ(report.verdict, "evaluate");
    EXPECT_EQ(report.handed_over, "evaluate");
    EXPECT_EQ(report.tier, "af_xdp");
}

TEST(Explainer, WithoutAnEngineNobodyIsAskedAndTheFallbackHolds) {
    Explained explain(sample(evaluate_rule()), program_alone);
    const api::ExplainReport report = explain(dns_query());
    EXPECT_EQ(report.verdict, "drop");
    EXPECT_EQ(report.reason, "evaluation_overload");
    EXPECT_FALSE(report.question);
    EXPECT_EQ(said(report, "policy"), "rule ask (number 1): evaluate: drop, evaluation_overload");
}

TEST(Explainer, TheSecondPacketOfAnExplainedFlowIsNotAskedAbout) {
    Explained explain(sample(evaluate_rule()));
    EXPECT_EQ(explain(dns_query()).verdict, "evaluate");
    const api::ExplainReport second = explain(dns_query());
    EXPECT_EQ(second.verdict, "forward") << "as if the answer to the first had been yes";
    EXPECT_TRUE(second.known);
}

TEST(Explainer, AProxiedServiceDoesNotAskAndTheFallbackHolds) {
    std::string yaml = sample("{ name: ask, action: evaluate, when: { max_connections_per_source: 9 } }");
    const std::string before = "ports: \"80\", mode: nat";
    yaml.replace(yaml.find(before), before.size(), "ports: \"80\", mode: proxy");
    Explained explain(yaml);
    const api::ExplainReport report = explain(ethernet(ipv4({}, tcp({.destination_port = 80}))));
    EXPECT_EQ(report.service, "web");
    EXPECT_EQ(report.reason, "evaluation_overload");
    EXPECT_FALSE(report.question);
}

}  // namespace
}  // namespace sluice::control
