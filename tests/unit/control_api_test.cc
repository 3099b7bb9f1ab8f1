// SPDX-License-Identifier: Apache-2.0
//
// API, metrics and sluicectl's texts over a provider with made-up data.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>

#include "control/api/json.h"
#include "control/api/server.h"
#include "control/metrics/exposition.h"
#include "control/metrics/families.h"
#include "control/metrics/family_builder.h"
#include "control/sluicectl/client.h"
#include "control/sluicectl/explain.h"
#include "control/sluicectl/render.h"
#include "control/sluicectl/table.h"

namespace sluice {
namespace {

api::Report sample() {
    api::Report report;
    report.version = "0.1.0";
    report.pid = 42;
    report.uptime = 3723;
    report.ready = true;
    report.config.file = "/etc/sluice/sluice.yaml";
    report.config.generation = 7;
    api::InterfaceReport eth0;
    eth0.name = "eth0";
    eth0.port = 1;
    eth0.ifindex = 2;
    eth0.mac = "02:00:00:00:00:01";
    eth0.mtu = 1500;
    eth0.up = true;
    eth0.addresses = {"10.0.0.1/24", "2001:db8:1234:5678:9abc:def0:1234:5678/64"};
    eth0.tiers = {
        {"xdp", true, "generic", "native: " + std::string(200, 'x') + " \"quoted\"\nline", "auto (default)"},
        {"dpdk", false, "", "not built into this release", "true (environment; the file says false)"}};
    eth0.queues.push_back({0, 0, false, {}});
    report.interfaces.push_back(eth0);
    struct port_counters counters {};
    counters.received_packets = 100'000;
    counters.received_bytes = 123'456'789'012;
    counters.packets[VERDICT_FORWARD] = 99'990;
    counters.packets[VERDICT_DROP] = 10;
    counters.drops[REASON_NO_ROUTE] = 10;
    report.traffic.push_back({"eth0", "xdp", counters});
    api::ServiceReport web{"web", "192.0.2.10", "tcp", "80,443", "nat", "auto", {}};
    web.backends.push_back({"[2001:db8:1234:5678:9abc:def0:1234:5678]:8080",
                            "active",
                            10,
                            {{5, 500}, {4, 4'000'000'000}, 2},
                            "active"});
    report.services.push_back(web);
    report.rules.push_back({"a-rule-with-a-rather-long-name-that-somebody-gave-it-for-good-reasons",
                            "allow",
                            false,
                            {3, 300},
                            {}});
    report.default_action = "allow";
    report.workers.push_back({});
    report.flows.capacity = 1 << 20;
    return report;
}

class Made final : public api::Provider {
public:
    Result<api::Report> report() override { return sample(); }
    Result<api::FlowPage> flows(const api::FlowRequest& request) override {
        asked = request;
        api::FlowPage page;
        page.flows.push_back({"tcp",
                              "[2001:db8:1234:5678:9abc:def0:1234:5678]:42424",
                              "[2001:db8:1234:5678:9abc:def0:1234:5679]:443",
                              "[2001:db8:1234:5678:9abc:def0:1234:5670]:8443",
                              "web",
                              "nat",
                              "tcp_established",
                              "web",
                              1.5,
                              {1, 2},
                              {3, 4}});
        page.next = 99;
        return page;
    }
    Status reload() override { return make_error("sluice.yaml:3:4: mode: value \"nut\": expected nat"); }
    Status set_tier(const std::string& interface, const std::string& tier) override {
        if (interface != "eth0")
            return make_error("interface {}: expected one of the configuration's", interface);
        moved_to = tier;
        return {};
    }
    Status set_trace(u32 every) override {
        trace_every = every;
        return {};
    }
    Result<std::vector<api::TraceReport>> trace() override { return std::vector<api::TraceReport>{}; }
    Result<u64> start_capture(const api::CaptureRequest& request) override {
        captured = request;
        if (request.interface == "none") return make_error("no such interface");
        return u64{7};
    }
    Result<std::string> read_capture(u64 id) override {
        if (id != 7) return make_error("capture {}: it is not running", id);
        return std::string("\n\r\r\n\0bytes", 10);
    }
    Result<api::CaptureSummary> stop_capture(u64 id) override {
        if (id != 7) return make_error("capture {}: it is not running", id);
        return api::CaptureSummary{12, 3};
    }
    Status set_log_level(const std::string& level) override {
        if (level != "debug") return make_error("level: value \"{}\": expected debug", level);
        return {};
    }

    Status set_drained(const std::string& service, const std::string& backend, bool drained) override {
        drain = fmt::format("{} {} {}", service, backend, drained);
        return backend == "none" ? Status(make_error("backend \"none\": expected another")) : Status{};
    }

    Result<api::ExplainAnswer> explain(const api::ExplainRequest& request) override {
        explained = request;
        api::ExplainReport packet{"forward",        "",     "eth0", "xdp", "web", "web",
                                  "10.0.1.11:8080", "eth1", "",     true,  {},    {}};
        packet.steps = {{"parse", "tcp 10.0.0.2:4242 > 192.0.2.10:80, 60 bytes"}, {"flow", "not known"}};
        return api::ExplainAnswer{{packet},
                                  api::FlowChanges{10, 3, 2, 1, {"tcp 1.2.3.4:5 > 6.7.8.9:10: gone"}}};
    }
    Result<api::DiffReport> config_diff(const std::string& file) override {
        if (file != "/etc/next.yaml") return make_error("{}: no such file", file);
        return api::DiffReport{{"service web: changed"}, "", {10, 0, 0, 0, {}}};
    }

    api::ExplainRequest explained;
    api::CaptureRequest captured;
    std::string drain;
    api::FlowRequest asked;
    u32 trace_every = 0;
    std::string moved_to;
};

class ControlApi : public testing::Test {
protected:
    void SetUp() override {
        auto server = api::Server::start(path_, provider_);
        ASSERT_TRUE(server) << server.error().message;
        server_ = std::move(*server);
    }

    std::string path_ = testing::TempDir() + fmt::format("sluice-api-{}.sock", getpid());
    Made provider_;
    std::unique_ptr<api::Server> server_;
    ctl::Client client_{path_};
};

TEST_F(ControlApi, OnlyItsOwnerMayOpenTheSocket) {
    struct stat there {};
    ASSERT_EQ(stat(path_.c_str(), &there), 0);
    EXPECT_EQ(there.st_mode & 0777, 0600U);
}

TEST_F(ControlApi, AnswersStatus) {
    const auto status = client_.ask("GET", "/v1/status");
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ((*status)["config"]["generation"], 7);
    EXPECT_EQ((*status)["interfaces"][0]["traffic"]["xdp"]["drops"]["no_route"], 10);
}

TEST_F(ControlApi, DrainsAndUndrains) {
    const std::string body = R"({"service": "web", "backend": "10.0.0.1:80"})";
    EXPECT_TRUE(client_.ask("POST", "/v1/drain", body));
    EXPECT_EQ(provider_.drain, "web 10.0.0.1:80 true");
    EXPECT_TRUE(client_.ask("POST", "/v1/undrain", body));
    EXPECT_EQ(provider_.drain, "web 10.0.0.1:80 false");
    const auto refused = client_.ask("POST", "/v1/drain", R"({"service": "web", "backend": "none"})");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "backend \"none\": expected another");
    EXPECT_FALSE(client_.ask("POST", "/v1/drain", R"({"service": 7, "backend": "x"})"));
    EXPECT_FALSE(client_.ask("POST", "/v1/drain", "{}"));
}

TEST_F(ControlApi, ExplainsPacketsAndRefusesWhatIsNone) {
    const auto told = client_.ask("POST", "/v1/explain", R"({"frames": ["0a0b", ""], "interface": "eth0"})");
    ASSERT_TRUE(told) << told.error().message;
    ASSERT_EQ(provider_.explained.frames.size(), 2U);
    EXPECT_EQ(provider_.explained.frames[0], (std::vector<u8>{10, 11}));
    EXPECT_EQ(provider_.explained.interface, "eth0");
    EXPECT_EQ((*told)["packets"][0]["rule"], "web");
    EXPECT_EQ((*told)["changes"]["would_change"], 5);
    const std::string text = ctl::explain_text(*told);
    EXPECT_NE(text.find("5 live flows would change"), std::string::npos) << text;
    for (const char* wrong : {"7", "{\"frames\": []}", "{\"frames\": [\"0\"]}", "{\"frames\": [\"xy\"]}",
                              "{\"frames\": [7]}", "{\"protocol\": 6}"})
        EXPECT_FALSE(client_.ask("POST", "/v1/explain", wrong)) << wrong;
}

TEST_F(ControlApi, TellsWhatAConfigurationWouldChange) {
    const auto told = client_.ask("POST", "/v1/config/diff", R"({"config": "/etc/next.yaml"})");
    ASSERT_TRUE(told) << told.error().message;
    EXPECT_NE(ctl::diff_text(*told).find("service web: changed"), std::string::npos);
    EXPECT_FALSE(client_.ask("POST", "/v1/config/diff", R"({"config": "/etc/other.yaml"})"));
    EXPECT_FALSE(client_.ask("POST", "/v1/config/diff", "{}"));
}

TEST_F(ControlApi, PassesOnFlowFiltersAndRefusesWrongOnes) {
    const auto page = client_.ask("GET", "/v1/flows?limit=5&cursor=77&service=web&address=10.0.0.1");
    ASSERT_TRUE(page) << page.error().message;
    EXPECT_EQ(provider_.asked.limit, 5U);
    EXPECT_EQ(provider_.asked.cursor, 77U);
    EXPECT_EQ(provider_.asked.service, "web");
    EXPECT_EQ((*page)["next"], 99);
    const auto wrong = client_.ask("GET", "/v1/flows?limit=many");
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().message, "limit: value \"many\": expected a number up to 10000");
    EXPECT_FALSE(client_.ask("GET", "/v1/flows?address=nowhere"));
}

TEST_F(ControlApi, ANameOfAnyCharactersArrivesAsItIs) {
    const std::string name = "a b&c=d%41+e#f?\"ü";
    ASSERT_TRUE(client_.ask("GET", "/v1/flows?limit=5&service=" + ctl::encoded(name)));
    EXPECT_EQ(provider_.asked.service, name);
    EXPECT_EQ(provider_.asked.limit, 5U);
}

TEST_F(ControlApi, ARefusedReloadHasTheConfigurationsOwnWords) {
    const auto answer = client_.ask("POST", "/v1/reload");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().message, "sluice.yaml:3:4: mode: value \"nut\": expected nat");
}

TEST_F(ControlApi, ChangesTraceAndLogLevelAndRefusesNonsense) {
    EXPECT_TRUE(client_.ask("PUT", "/v1/trace", R"({"every": 100})"));
    EXPECT_EQ(provider_.trace_every, 100U);
    EXPECT_FALSE(client_.ask("PUT", "/v1/trace", R"({"every": -1})"));
    EXPECT_FALSE(client_.ask("PUT", "/v1/trace", "nonsense"));
    EXPECT_TRUE(client_.ask("PUT", "/v1/tier", R"({"interface": "eth0", "tier": "dpdk"})"));
    EXPECT_EQ(provider_.moved_to, "dpdk");
    EXPECT_FALSE(client_.ask("PUT", "/v1/tier", R"({"interface": "eth9", "tier": "dpdk"})"));
    EXPECT_FALSE(client_.ask("PUT", "/v1/tier", R"({"interface": "eth0"})"));
    EXPECT_FALSE(client_.ask("PUT", "/v1/tier", R"({"interface": "eth0", "tier": 3})"));
    EXPECT_TRUE(client_.ask("PUT", "/v1/log-level", R"({"level": "debug"})"));
    EXPECT_FALSE(client_.ask("PUT", "/v1/log-level", R"({"level": "loud"})"));
    const auto unknown = client_.ask("GET", "/v2/status");
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().message, "no such request: GET /v2/status");
}

TEST_F(ControlApi, CapturesAreFetchedAsTheyAre) {
    const auto begun =
        client_.ask("POST", "/v1/capture",
                    R"({"tier": "xdp", "direction": "both", "bytes": 64, "filter": [[6, 0, 0, 1]]})");
    ASSERT_TRUE(begun) << begun.error().message;
    EXPECT_EQ((*begun)["id"], 7);
    EXPECT_EQ(provider_.captured.tier, "xdp");
    EXPECT_EQ(provider_.captured.direction, "both");
    EXPECT_EQ(provider_.captured.bytes, 64U);
    ASSERT_EQ(provider_.captured.filter.size(), 1U);
    EXPECT_EQ(provider_.captured.filter[0], (std::array<u32, 4>{6, 0, 0, 1}));
    const auto blocks = client_.fetch("/v1/capture?id=7");
    ASSERT_TRUE(blocks) << blocks.error().message;
    EXPECT_EQ(*blocks, std::string("\n\r\r\n\0bytes", 10));
    const auto ended = client_.ask("DELETE", "/v1/capture?id=7");
    ASSERT_TRUE(ended) << ended.error().message;
    EXPECT_EQ((*ended)["lost"], 3);
}

TEST_F(ControlApi, ACaptureThatMakesNoSenseIsRefused) {
    for (const char* wrong : {"7", R"({"tier": "wire"})", R"({"direction": "up"})", R"({"bytes": 4096})",
                              R"({"bytes": 0})", R"({"filter": [[6, 0, 0]]})", R"({"filter": "tcp"})",
                              R"({"interface": "none"})", R"({"snap": 64})"})
        EXPECT_FALSE(client_.ask("POST", "/v1/capture", wrong)) << wrong;
    EXPECT_FALSE(client_.fetch("/v1/capture?id=8"));
    EXPECT_FALSE(client_.fetch("/v1/capture?id=x"));
    EXPECT_FALSE(client_.ask("DELETE", "/v1/capture"));
}

TEST_F(ControlApi, WhoRefusedAndWhoIsNotThereAreToldApart) {
    EXPECT_NE(client_.ask("GET", "/v2/status").error().code, ctl::Client::nobody);
    server_.reset();
    EXPECT_EQ(client_.ask("GET", "/v1/status").error().code, ctl::Client::nobody);
}

TEST_F(ControlApi, WithoutADaemonTheErrorSaysSo) {
    server_.reset();
    EXPECT_NE(access(path_.c_str(), F_OK), 0) << "the socket goes with its server";
    const auto answer = client_.ask("GET", "/v1/status");
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find("no daemon runs here"), std::string::npos)
        << answer.error().message;
}

TEST_F(ControlApi, AStaleSocketIsReplacedAndAFileIsNot) {
    server_.reset();
    { std::ofstream(path_) << "precious"; }
    EXPECT_FALSE(api::Server::start(path_, provider_));
    ASSERT_EQ(unlink(path_.c_str()), 0);
    auto first = api::Server::start(path_, provider_);
    ASSERT_TRUE(first);
    EXPECT_TRUE(api::Server::start(path_, provider_)) << "the caller holds the node's lock";
}

void expect_fits(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), ctl::screen_width) << line;
}

TEST(SluicectlTexts, FitOnAScreen) {
    const api::Report report = sample();
    expect_fits(ctl::status_text(api::status_json(report)));
    expect_fits(ctl::services_text(api::services_json(report)));
    expect_fits(ctl::policy_text(api::policy_json(report)));
    Made provider;
    expect_fits(ctl::flows_text(api::flows_json(*provider.flows({}))));
    api::TraceReport event{1.0,
                           "eth0",
                           "drop",
                           "no_route",
                           "web",
                           "",
                           "",
                           "tcp",
                           "[2001:db8:1234:5678:9abc:def0:1234:5678]:1",
                           "[2001:db8:1234:5678:9abc:def0:1234:5678]:2",
                           64};
    expect_fits(ctl::trace_text(api::trace_json(report, {event})));
}

TEST(SluicectlTexts, ShortFormsKeepTheirSize) {
    EXPECT_EQ(ctl::short_number(999), "999");
    EXPECT_EQ(ctl::short_number(1000), "1.00k");
    EXPECT_EQ(ctl::short_number(12'345), "12.3k");
    EXPECT_EQ(ctl::short_number(999'900), "1.00M");
    EXPECT_EQ(ctl::short_number(123'456'789'012), "123G");
    EXPECT_EQ(ctl::short_duration(3723), "1h02m");
}

TEST(Metrics, NameValuesOfTheReport) {
    const std::string text = metrics::text(sample());
    for (const char* line : {R"(sluice_received_packets_total{interface="eth0",tier="xdp"} 100000)",
                             R"(sluice_packets_total{interface="eth0",tier="xdp",verdict="forward"} 99990)",
                             R"(sluice_drops_total{interface="eth0",tier="xdp",reason="no_route"} 10)",
                             R"(sluice_tier_active{interface="eth0",tier="xdp",mode="generic"} 1)",
                             R"(sluice_service_flows_created_total{service="web",)",
                             "sluice_config_generation 7", R"(sluice_flow_table_capacity 1048576)"})
        EXPECT_NE(text.find(line), std::string::npos) << line;
}

TEST(Metrics, AnIdleScrapeChangesNothing) {
    const auto without_process = [](const std::string& text) {
        return text.substr(0, text.find("# HELP process_"));
    };
    EXPECT_EQ(without_process(metrics::text(sample())), without_process(metrics::text(sample())));
}

TEST(Metrics, EscapeLabelsAndWriteNumbersAsTheFormatAsks) {
    prometheus::MetricFamily gauge{"g", "a \\ and\na line", prometheus::MetricType::Gauge, {}};
    gauge.metric.resize(3);
    gauge.metric[0].label = {{"a", "say \"x\"\n\\"}, {"b", ""}};
    gauge.metric[0].gauge.value = 0.25;
    gauge.metric[1].gauge.value = 1e15;
    gauge.metric[2].gauge.value = std::numeric_limits<double>::infinity();
    prometheus::MetricFamily histogram{"h", "", prometheus::MetricType::Histogram, {}};
    histogram.metric.push_back(metrics::histogram_of({{"s", "web"}}, {{1, 2, 4}, 5'000'000}));
    EXPECT_EQ(metrics::exposition({gauge, histogram}),
              "# HELP g a \\\\ and\\na line\n# TYPE g gauge\n"
              "g{a=\"say \\\"x\\\"\\n\\\\\",b=\"\"} 0.25\ng 1000000000000000\ng +Inf\n"
              "# TYPE h histogram\n"
              "h_bucket{s=\"web\",le=\"1e-06\"} 1\nh_bucket{s=\"web\",le=\"2e-06\"} 3\n"
              "h_bucket{s=\"web\",le=\"+Inf\"} 7\nh_sum{s=\"web\"} 0.005\nh_count{s=\"web\"} 7\n");
}

TEST(Metrics, PassPromtool) {
    if (std::system("command -v promtool >/dev/null") != 0) GTEST_SKIP() << "promtool is not installed";
    std::FILE* check = popen("promtool check metrics", "w");
    ASSERT_NE(check, nullptr);
    const std::string text = metrics::text(sample());
    EXPECT_EQ(fwrite(text.data(), 1, text.size(), check), text.size());
    EXPECT_EQ(pclose(check), 0);
}

}  // namespace
}  // namespace sluice
