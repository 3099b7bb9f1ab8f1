// SPDX-License-Identifier: Apache-2.0
//
// round-trip ask: requests and answers from one application to another, as percentiles. round-trip serve:
// the other end.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <nlohmann/json.hpp>

#include "perf/round_trip/client.h"
#include "perf/round_trip/server.h"

namespace sluice::perf {
namespace {

double us(u64 ns) { return static_cast<double>(ns) / 1000; }

// Shares at which a distribution is drawn: ever finer towards 1.
std::vector<double> curve_shares() {
    std::vector<double> shares;
    for (int i = 0; i < 100; i++) shares.push_back(i / 100.0);
    for (double rest = 0.01; rest > 1e-6; rest /= 10)
        for (int i = 0; i < 9; i++) shares.push_back(1 - rest * (10 - i) / 10);
    shares.push_back(1);
    return shares;
}

nlohmann::json report_of(const RoundTrips& found) {
    const Histogram& h = found.ns;
    nlohmann::json curve = nlohmann::json::array();
    for (const double share : curve_shares()) curve.push_back({us(h.quantile(share)), share});
    return {{"sent", found.sent},          {"answered", h.count()},       {"lost", found.sent - h.count()},
            {"seconds", found.seconds},    {"min", us(h.least())},        {"p50", us(h.quantile(0.5))},
            {"p95", us(h.quantile(0.95))}, {"p99", us(h.quantile(0.99))}, {"p999", us(h.quantile(0.999))},
            {"max", us(h.most())},         {"mean", h.mean() / 1000},     {"curve", curve}};
}

struct Arguments {
    std::string address;
    u16 port = 0;
    RoundTripPlan plan;
    std::vector<u32> delays;
};

Status ask(const Arguments& arguments) {
    const Result<Endpoint> to = endpoint_of(arguments.address, arguments.port);
    if (!to) return to.error();
    Result<Client> client = Client::create(*to, arguments.plan);
    if (!client) return client.error();
    const Result<RoundTrips> found = client->run();
    if (!found) return found.error();
    fmt::print("{}\n", report_of(*found).dump());
    return {};
}

Status answer(const Arguments& arguments) {
    const Result<Endpoint> at = endpoint_of(arguments.address, arguments.port);
    if (!at) return at.error();
    return serve(*at, arguments.plan.tcp, arguments.plan.bytes, arguments.delays);
}

void ignore(int) {}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
    using namespace sluice::perf;
    CLI::App app{"Round trips between applications, in microseconds"};
    Arguments arguments;
    app.require_subcommand(1);
    CLI::App* asks = app.add_subcommand("ask", "send requests, print percentiles as JSON");
    CLI::App* serves = app.add_subcommand("serve", "answer until SIGTERM");
    for (CLI::App* one : {asks, serves}) {
        one->add_option("address", arguments.address, "IP address")->required();
        one->add_option("port", arguments.port, "port")->required();
        one->add_flag("--tcp", arguments.plan.tcp, "TCP instead of UDP");
        one->add_option("--bytes", arguments.plan.bytes, "of a request and of its answer")
            ->check(CLI::Range(8, 65000));
    }
    asks->add_option("--rate", arguments.plan.rate, "requests per second, open loop; 0: closed loop");
    asks->add_option("--seconds", arguments.plan.seconds, "how long to send");
    asks->add_option("--connections", arguments.plan.connections, "sockets")->check(CLI::Range(1, 10000));
    serves->add_option("--delays", arguments.delays, "µs before each answer, in turn")->delimiter(',');
    CLI11_PARSE(app, argc, argv);
    struct sigaction action {};
    action.sa_handler = ignore;
    sigaction(SIGTERM, &action, nullptr);
    const sluice::Status status = asks->parsed() ? ask(arguments) : answer(arguments);
    if (status) return 0;
    fmt::print(stderr, "round-trip: {}\n", status.error().message);
    return 1;
}
