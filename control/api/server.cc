// SPDX-License-Identifier: Apache-2.0
#include "control/api/server.h"

#include <unistd.h>

#include "control/api/capture_routes.h"
#include "control/api/explain_json.h"
#include "control/api/respond.h"
#include "control/http/listen.h"

namespace sluice::api {

namespace {

using http::Request;
using http::Response;

constexpr u32 most_flows = 10'000;        // of one page
constexpr size_t answering_threads = 2;   // one may be busy with a reload
constexpr size_t longest_body = 8 << 20;  // a thousand frames to explain

Result<FlowRequest> flow_request(const Request& request) {
    FlowRequest wanted;
    const Result<u64> limit = number(request, "limit", wanted.limit, most_flows);
    if (!limit) return limit.error();
    const Result<u64> cursor = number(request, "cursor", 0, ~u64{0});
    if (!cursor) return cursor.error();
    wanted.limit = static_cast<u32>(*limit);
    wanted.cursor = *cursor;
    wanted.service = request.parameter("service").value_or("");
    wanted.protocol = request.parameter("protocol").value_or("");
    wanted.address = request.parameter("address").value_or("");
    if (!wanted.address.empty()) {
        const auto address = config::Address::parse(wanted.address);
        if (!address) return make_error("address: value \"{}\": expected an address", wanted.address);
        wanted.address = address->text();
    }
    return wanted;
}

// One member of a JSON object in the request's body.
Result<Json> member(const Request& request, const char* name) {
    const Json body = Json::parse(request.body, nullptr, false);
    if (!body.is_object() || !body.contains(name))
        return make_error("body: expected a JSON object with \"{}\"", name);
    return body[name];
}

auto with_report(Provider& provider, Json (*render)(const Report&)) {
    return [&provider, render](const Request&, Response& response) {
        const Result<Report> report = provider.report();
        if (!report) return refuse(response, 503, report.error().message);
        answer(response, render(*report));
    };
}

void finish(Response& response, const Status& status, int failure) {
    if (!status) return refuse(response, failure, status.error().message);
    answer(response, {{"ok", true}});
}

void get_trace(Provider& provider, Response& response) {
    const Result<Report> report = provider.report();
    const Result<std::vector<TraceReport>> events = provider.trace();
    if (!report) return refuse(response, 503, report.error().message);
    if (!events) return refuse(response, 503, events.error().message);
    answer(response, trace_json(*report, *events));
}

void put_trace(Provider& provider, const Request& request, Response& response) {
    const Result<Json> every = member(request, "every");
    if (!every) return refuse(response, 400, every.error().message);
    if (!every->is_number_unsigned() || every->get<u64>() > 0xffffffff)
        return refuse(response, 400, "every: expected a number, 0 for off");
    finish(response, provider.set_trace(every->get<u32>()), 503);
}

void put_tier(Provider& provider, const Request& request, Response& response) {
    const Result<Json> interface = member(request, "interface");
    const Result<Json> tier = member(request, "tier");
    if (!interface || !tier) return refuse(response, 400, (interface ? tier : interface).error().message);
    if (!interface->is_string() || !tier->is_string())
        return refuse(response, 400, "interface and tier: expected words");
    finish(response, provider.set_tier(interface->get<std::string>(), tier->get<std::string>()), 422);
}

void put_log_level(Provider& provider, const Request& request, Response& response) {
    const Result<Json> level = member(request, "level");
    if (!level) return refuse(response, 400, level.error().message);
    if (!level->is_string()) return refuse(response, 400, "level: expected a word");
    finish(response, provider.set_log_level(level->get<std::string>()), 400);
}

void post_drain(Provider& provider, const Request& request, Response& response, bool drained) {
    const Result<Json> service = member(request, "service");
    const Result<Json> backend = member(request, "backend");
    if (!service) return refuse(response, 400, service.error().message);
    if (!backend) return refuse(response, 400, backend.error().message);
    if (!service->is_string() || !backend->is_string())
        return refuse(response, 400, "service, backend: expected a name each");
    finish(response, provider.set_drained(service->get<std::string>(), backend->get<std::string>(), drained),
           422);
}

void post_explain(Provider& provider, const Request& request, Response& response) {
    const Result<ExplainRequest> wanted = explain_request(request.body);
    if (!wanted) return refuse(response, 400, wanted.error().message);
    const Result<ExplainAnswer> told = provider.explain(*wanted);
    if (!told) return refuse(response, 422, told.error().message);
    answer(response, explain_json(*told));
}

void post_diff(Provider& provider, const Request& request, Response& response) {
    const Result<Json> file = member(request, "config");
    if (!file) return refuse(response, 400, file.error().message);
    if (!file->is_string()) return refuse(response, 400, "config: expected a file's path");
    const Result<DiffReport> report = provider.config_diff(file->get<std::string>());
    if (!report) return refuse(response, 422, report.error().message);
    answer(response, diff_json(*report));
}

}  // namespace

Server::Server(std::string path)
    : path_(std::move(path)),
      http_(http::Limits{.body = longest_body, .answering_threads = answering_threads}) {}

void Server::routes(Provider& provider) {
    http_.route("GET", "/v1/status", with_report(provider, status_json));
    http_.route("GET", "/v1/services", with_report(provider, services_json));
    http_.route("GET", "/v1/policy", with_report(provider, policy_json));
    http_.route("GET", "/v1/flows", [&provider](const Request& request, Response& response) {
        const Result<FlowRequest> wanted = flow_request(request);
        if (!wanted) return refuse(response, 400, wanted.error().message);
        const Result<FlowPage> page = provider.flows(*wanted);
        if (!page) return refuse(response, 503, page.error().message);
        answer(response, flows_json(*page));
    });
    http_.route("POST", "/v1/reload", [&provider](const Request&, Response& response) {
        finish(response, provider.reload(), 422);
    });
    http_.route("GET", "/v1/trace",
                [&provider](const Request&, Response& response) { get_trace(provider, response); });
    http_.route("PUT", "/v1/trace", [&provider](const Request& request, Response& response) {
        put_trace(provider, request, response);
    });
    http_.route("PUT", "/v1/tier", [&provider](const Request& request, Response& response) {
        put_tier(provider, request, response);
    });
    http_.route("PUT", "/v1/log-level", [&provider](const Request& request, Response& response) {
        put_log_level(provider, request, response);
    });
    http_.route("POST", "/v1/explain", [&provider](const Request& request, Response& response) {
        post_explain(provider, request, response);
    });
    http_.route("POST", "/v1/config/diff", [&provider](const Request& request, Response& response) {
        post_diff(provider, request, response);
    });
    add_capture_routes(http_, provider);
    for (const bool drained : {true, false}) {
        http_.route("POST", drained ? "/v1/drain" : "/v1/undrain",
                    [&provider, drained](const Request& request, Response& response) {
                        post_drain(provider, request, response, drained);
                    });
    }
    http_.otherwise([](const Request& request, Response& response) {
        refuse(response, 404, "no such request: " + request.method + " " + request.path);
    });
}

Result<std::unique_ptr<Server>> Server::start(const std::string& path, Provider& provider) {
    auto listener = http::listen_on(path);
    if (!listener) return listener.error().with_context("control.socket: " + path);
    std::unique_ptr<Server> server(new Server(path));
    server->routes(provider);
    if (Status status = server->http_.start(std::move(*listener)); !status) return status.error();
    return server;
}

Server::~Server() { unlink(path_.c_str()); }

}  // namespace sluice::api
