// SPDX-License-Identifier: Apache-2.0
#include "control/metrics/server.h"

#include <httplib.h>

#include "control/metrics/families.h"

namespace sluice::metrics {

namespace {

constexpr size_t worker_threads = 2;
constexpr const char* plain = "text/plain; charset=utf-8";
constexpr const char* exposition = "text/plain; version=0.0.4; charset=utf-8";

void get_metrics(api::Provider& provider, httplib::Response& response) {
    const Result<api::Report> report = provider.report();
    if (report) {
        response.set_content(text(*report), exposition);
        return;
    }
    response.status = 503;
    response.set_content(report.error().message + "\n", plain);
}

void get_ready(api::Provider& provider, httplib::Response& response) {
    const Result<api::Report> report = provider.report();
    const std::string why = report ? report->not_ready : report.error().message;
    if (why.empty()) {
        response.set_content("ready\n", plain);
        return;
    }
    response.status = 503;
    response.set_content(why + "\n", plain);
}

}  // namespace

Server::Server() : http_(std::make_unique<httplib::Server>()) {}

Result<std::unique_ptr<Server>> Server::start(const config::Endpoint& listen, api::Provider& provider) {
    std::unique_ptr<Server> server(new Server);
    httplib::Server& http = *server->http_;
    http.new_task_queue = [] { return new httplib::ThreadPool(worker_threads); };
    http.set_keep_alive_max_count(100);
    http.set_keep_alive_timeout(1);
    http.set_payload_max_length(1 << 12);
    http.Get("/metrics", [&provider](const httplib::Request&, httplib::Response& response) {
        get_metrics(provider, response);
    });
    http.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
        response.set_content("ok\n", plain);
    });
    http.Get("/readyz", [&provider](const httplib::Request&, httplib::Response& response) {
        get_ready(provider, response);
    });
    if (!http.bind_to_port(listen.address.text(), listen.port))
        return system_error(errno, "metrics.listen: {}: cannot listen", listen.text());
    server->thread_ = std::thread([&http, &ended = server->ended_] {
        http.listen_after_bind();
        ended = true;
    });
    return server;
}

Server::~Server() {
    if (!thread_.joinable()) return;
    while (!http_->is_running() && !ended_) std::this_thread::yield();
    http_->stop();
    thread_.join();
}

}  // namespace sluice::metrics
