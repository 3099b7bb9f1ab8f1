// SPDX-License-Identifier: Apache-2.0
#include "control/api/server.h"

#include <httplib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "control/api/json.h"
#include "control/config/address.h"

namespace sluice::api {

namespace {

using httplib::Request;
using httplib::Response;

constexpr const char* json_type = "application/json";
constexpr u32 most_flows = 10'000;  // of one page
constexpr size_t worker_threads = 2;
constexpr int any_port = 80;  // the library wants one; a unix socket has none

void answer(Response& response, const Json& json) { response.set_content(json.dump() + "\n", json_type); }

void refuse(Response& response, int status, const std::string& message) {
    response.status = status;
    answer(response, {{"error", message}});
}

// The number of parameter `name`; `fallback` where it is not given.
Result<u64> number(const Request& request, const char* name, u64 fallback, u64 most) {
    if (!request.has_param(name)) return fallback;
    const std::string text = request.get_param_value(name);
    if (const auto value = config::parse_number(text, most)) return *value;
    return make_error("{}: value \"{}\": expected a number up to {}", name, text, most);
}

Result<FlowRequest> flow_request(const Request& request) {
    FlowRequest wanted;
    const Result<u64> limit = number(request, "limit", wanted.limit, most_flows);
    if (!limit) return limit.error();
    const Result<u64> cursor = number(request, "cursor", 0, ~u64{0});
    if (!cursor) return cursor.error();
    wanted.limit = static_cast<u32>(*limit);
    wanted.cursor = *cursor;
    wanted.service = request.get_param_value("service");
    wanted.protocol = request.get_param_value("protocol");
    wanted.address = request.get_param_value("address");
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

Status prepare_path(const std::string& path) {
    if (path.size() >= sizeof(sockaddr_un::sun_path))
        return make_error("control.socket: {}: expected at most {} characters", path,
                          sizeof(sockaddr_un::sun_path) - 1);
    std::error_code error;
    const auto folder = std::filesystem::path(path).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, error);
    struct stat there {};
    if (lstat(path.c_str(), &there) != 0) return {};
    if (!S_ISSOCK(there.st_mode))
        return make_error("control.socket: {}: expected no file but a socket there", path);
    if (unlink(path.c_str()) != 0) return system_error(errno, "control.socket: {}", path);
    return {};
}

}  // namespace

Server::Server(std::string path) : path_(std::move(path)), http_(std::make_unique<httplib::Server>()) {}

void Server::routes(Provider& provider) {
    http_->Get("/v1/status", with_report(provider, status_json));
    http_->Get("/v1/services", with_report(provider, services_json));
    http_->Get("/v1/policy", with_report(provider, policy_json));
    http_->Get("/v1/flows", [&provider](const Request& request, Response& response) {
        const Result<FlowRequest> wanted = flow_request(request);
        if (!wanted) return refuse(response, 400, wanted.error().message);
        const Result<FlowPage> page = provider.flows(*wanted);
        if (!page) return refuse(response, 503, page.error().message);
        answer(response, flows_json(*page));
    });
    http_->Post("/v1/reload", [&provider](const Request&, Response& response) {
        finish(response, provider.reload(), 422);
    });
    http_->Get("/v1/trace",
               [&provider](const Request&, Response& response) { get_trace(provider, response); });
    http_->Put("/v1/trace", [&provider](const Request& request, Response& response) {
        put_trace(provider, request, response);
    });
    http_->Put("/v1/log-level", [&provider](const Request& request, Response& response) {
        put_log_level(provider, request, response);
    });
    for (const bool drained : {true, false}) {
        http_->Post(drained ? "/v1/drain" : "/v1/undrain",
                    [&provider, drained](const Request& request, Response& response) {
                        post_drain(provider, request, response, drained);
                    });
    }
    http_->set_error_handler([](const Request& request, Response& response) {
        if (response.body.empty())
            refuse(response, response.status, "no such request: " + request.method + " " + request.path);
    });
}

Result<std::unique_ptr<Server>> Server::start(const std::string& path, Provider& provider) {
    if (Status status = prepare_path(path); !status) return status.error();
    std::unique_ptr<Server> server(new Server(path));
    httplib::Server& http = *server->http_;
    http.new_task_queue = [] { return new httplib::ThreadPool(worker_threads); };
    http.set_address_family(AF_UNIX);
    http.set_socket_options([](int) {});  // the library's default is for TCP
    http.set_payload_max_length(1 << 16);
    http.set_keep_alive_max_count(1);
    server->routes(provider);
    const mode_t mask = umask(0177);
    const bool bound = http.bind_to_port(path, any_port);
    const int error = errno;
    umask(mask);
    if (!bound) return system_error(error, "control.socket: {}: cannot listen", path);
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
    unlink(path_.c_str());
}

}  // namespace sluice::api
