// SPDX-License-Identifier: Apache-2.0
#include "perf/engine/subject.h"

#include <fmt/format.h>

#include "control/config/loader.h"
#include "perf/common/measure.h"

namespace sluice::perf {

namespace {

constexpr size_t burst = 64;  // as a worker takes from a port
constexpr u64 start_ns = 1'000'000'000'000;
constexpr u64 steady_ns = 2'200'000'000;  // two periods of next hops' age

// Single addresses from 20.0.0.0 on, every other one.
std::string set_text(u32 prefixes) {
    std::string text = "    large: { prefixes: [";
    for (u32 i = 0; i < prefixes; i++)
        text += fmt::format("{}{}.{}.{}.{}", i ? ", " : "", 20 + (i >> 23), i >> 15 & 255, i >> 7 & 255,
                            i << 1 & 255);
    return text + "] }\n";
}

std::string policy_text(int rules, u32 prefixes) {
    std::string text =
        "policy:\n  default: allow\n  sets:\n    bogons: { prefixes: [198.18.0.0/15, 240.0.0.0/4, "
        "\"3fff::/20\"] }\n";
    if (prefixes) text += set_text(prefixes);
    text += "  rules:\n    - { name: no-bogons, from: [\"set:bogons\"], action: drop }\n";
    if (prefixes) text += "    - { name: no-large, from: [\"set:large\"], action: drop }\n";
    for (int i = 1; i < rules - 1; i++)
        text += fmt::format(
            "    - {{ name: r{0}, from: [10.{1}.{2}.0/24], protocol: tcp, ports: \"{3}\", action: drop }}\n",
            i, i / 250 % 250, i % 250, 1000 + i % 30000);
    return text +
           "    - { name: web, to: [192.0.2.0/24, \"2001:db8::/64\"], protocol: tcp, ports: \"80\", action: "
           "allow }\n";
}

std::string other_services_text(u32 count) {
    std::string text;
    for (u32 i = 1; i < count; i++)
        text += fmt::format(
            "  - {{ name: s{0}, vip: 100.64.{1}.{2}, protocol: tcp, ports: \"80\", mode: nat, backends: [{{ "
            "address: 10.1.{1}.{2}, "
            "port: 8080 }}] }}\n",
            i, i >> 8, i & 255);
    return text;
}

std::string service_text(const std::string& mode, bool ipv6, u32 backends) {
    std::string text =
        fmt::format("  - name: web{}\n    vip: \"{}\"\n    protocol: tcp\n    ports: \"80\"\n    mode: {}\n",
                    ipv6 ? 6 : 4, ipv6 ? "2001:db8::10" : "192.0.2.10", mode);
    if (mode == "dsr_ipip") text += "    tunnel: { source4: 172.16.0.0/16, source6: \"2001:db8:2::/64\" }\n";
    text += "    backends:\n";
    const int port = mode == "nat" ? 8080 : 80;
    for (u32 i = 1; i <= backends; i++)
        text +=
            ipv6 ? fmt::format("      - {{ address: \"2001:db8:1::{:x}\", port: {} }}\n", i, port)
                 : fmt::format("      - {{ address: 10.0.{}.{}, port: {} }}\n", 1 + (i >> 8), i & 255, port);
    return text;
}

std::string config_text(const SubjectPlan& plan) {
    return "version: 1\ninterfaces: [{ name: port0, mac: \"02:00:00:00:00:01\", addresses: [192.0.2.254/24, "
           "\"2001:db8::fe/64\"] }]\n" +
           policy_text(plan.rules, plan.prefixes) + "services:\n" +
           service_text(plan.mode, false, plan.backends) + service_text(plan.mode, true, plan.backends) +
           other_services_text(plan.services) +
           "routes:\n"
           "  - { prefix: 0.0.0.0/0, via: 192.0.2.1, mac: \"02:00:00:00:00:02\", interface: port0 }\n"
           "  - { prefix: \"::/0\", via: \"2001:db8::1\", mac: \"02:00:00:00:00:02\", interface: port0 }\n" +
           fmt::format("tables: {{ flows: {} }}\n", plan.table);
}

struct Sink {
    u64 forwarded = 0;
    u32 other = 0;  // verdict word of a frame that was not forwarded

    void finish(Frame&, const Decision& decision) {
        if (decision.word == VERDICT_FORWARD) [[likely]]
            forwarded++;
        else
            other = decision.word;
    }
};

}  // namespace

Result<std::unique_ptr<Subject>> Subject::create(const SubjectPlan& plan) {
    std::unique_ptr<Subject> subject(new Subject(plan));
    Result<config::Config> config = config::load_text(config_text(plan), "benchmark");
    if (!config) return config.error();
    Result<std::unique_ptr<replay::OfflineNode>> node = replay::OfflineNode::create(*config);
    if (!node) return node.error();
    subject->node_ = std::move(*node);
    Result<Traffic> traffic = Traffic::create(plan.traffic);
    if (!traffic) return traffic.error();
    subject->traffic_ = std::make_unique<Traffic>(std::move(*traffic));
    if (Status status = subject->enter_flows(); !status) return status.error().with_context(plan.name);
    return subject;
}

// In order, so that all are there; then in the traffic's order.
Status Subject::enter_flows() {
    const u64 flows = plan_.fill ? plan_.table * 2ull : plan_.traffic.fresh ? 0 : plan_.traffic.flows;
    TrafficPlan first = plan_.traffic;
    first.replies = false;
    Result<Traffic> entering = Traffic::create(first);
    if (!entering) return entering.error();
    std::unique_ptr<Traffic> later = std::move(traffic_);
    traffic_ = std::make_unique<Traffic>(std::move(*entering));
    constexpr u64 others = 1ull << 36;  // flows that only fill the table
    for (u64 flow = 0; flow < flows; flow += Traffic::frame_count) {
        traffic_->stamp(plan_.fill ? others + flow : flow);
        if (Status status = run_pass(); !status) return status;
    }
    traffic_ = std::move(later);
    const u64 steady = clock_ + steady_ns;
    while (!plan_.traffic.fresh && clock_ < steady) {
        traffic_->stamp();
        if (Status status = run_pass(); !status) return status;
    }
    return {};
}

Status Subject::run_pass() {
    Sink sink;
    std::span<Frame> frames = traffic_->frames();
    Engine& engine = node_->engine();
    const u64 offset = start_ns + clock_ - monotonic_ns();
    const u64 begin = monotonic_ns();
    const u64 begin_cpu = thread_ns();
    for (; !frames.empty(); frames = frames.subspan(burst))
        engine.run(frames.first(burst), monotonic_ns() + offset, sink);
    pass_cpu_ns_ = thread_ns() - begin_cpu;
    clock_ += monotonic_ns() - begin;
    if (sink.forwarded != Traffic::frame_count)
        return make_error("{} of {} packets forwarded; another's verdict word is {:#x}", sink.forwarded,
                          Traffic::frame_count, sink.other);
    return {};
}

Result<double> Subject::measure(int passes) {
    u64 total = 0;
    for (int pass = 0; pass <= passes; pass++) {
        traffic_->stamp();
        if (Status status = run_pass(); !status) return status.error();
        if (pass > 0) total += pass_cpu_ns_;
    }
    return static_cast<double>(total) / (static_cast<double>(passes) * Traffic::frame_count);
}

}  // namespace sluice::perf
