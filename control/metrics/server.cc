// SPDX-License-Identifier: Apache-2.0
#include "control/metrics/server.h"

#include "control/http/listen.h"
#include "control/metrics/families.h"

namespace sluice::metrics {

namespace {

constexpr const char* exposition = "text/plain; version=0.0.4; charset=utf-8";

void get_metrics(api::Provider& provider, http::Response& response) {
    const Result<api::Report> report = provider.report();
    if (report) {
        response.type = exposition;
        response.body = text(*report);
        return;
    }
    response.status = 503;
    response.body = report.error().message + "\n";
}

void get_ready(api::Provider& provider, http::Response& response) {
    const Result<api::Report> report = provider.report();
    const std::string why = report ? report->not_ready : report.error().message;
    response.status = why.empty() ? 200 : 503;
    response.body = (why.empty() ? "ready" : why) + "\n";
}

}  // namespace

Result<std::unique_ptr<http::Server>> serve(const config::Endpoint& listen, api::Provider& provider) {
    using http::Request;
    using http::Response;
    auto listener = http::listen_on(listen);
    if (!listener) return listener.error().with_context("metrics.listen: " + listen.text());
    auto server = std::make_unique<http::Server>();
    server->route("GET", "/metrics",
                  [&provider](const Request&, Response& response) { get_metrics(provider, response); });
    server->route("GET", "/readyz",
                  [&provider](const Request&, Response& response) { get_ready(provider, response); });
    server->quick_route("GET", "/healthz",
                        [](const Request&, Response& response) { response.body = "ok\n"; });
    if (Status status = server->start(std::move(*listener)); !status) return status.error();
    return server;
}

}  // namespace sluice::metrics
