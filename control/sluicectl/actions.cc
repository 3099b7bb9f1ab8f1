// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/actions.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>

#include "control/compile/compiler.h"
#include "control/config/loader.h"
#include "control/config/support.h"
#include "control/sluicectl/client.h"
#include "control/sluicectl/probe.h"
#include "control/sluicectl/render.h"

namespace sluice::ctl {

namespace {

int complain(const Error& error, int status) {
    fmt::print(stderr, "sluicectl: {}\n", error.message);
    return status;
}
int complain(const Error& error) {
    return complain(error, error.code == Client::nobody ? unreachable : failed);
}

}  // namespace

int show(const Options& options, const std::string& path, std::string (*render)(const Json&)) {
    const Result<Json> answer = Client(options.socket).ask("GET", path);
    if (!answer) return complain(answer.error());
    fmt::print("{}", options.json ? answer->dump(2) + "\n" : render(*answer));
    return done;
}

namespace {

constexpr u32 largest_page = 10'000;

// Page by page, so that neither side holds more than one: of JSON a line each.
int show_all_flows(const Options& options, const std::string& filters) {
    u64 cursor = options.cursor;
    for (;;) {
        const std::string path = fmt::format("/v1/flows?limit={}&cursor={}{}", largest_page, cursor, filters);
        Result<Json> page = Client(options.socket).ask("GET", path);
        if (!page) return complain(page.error());
        const Json next = page->at("next");
        (*page)["next"] = nullptr;
        fmt::print("{}", options.json ? page->dump() + "\n" : flows_text(*page));
        if (next.is_null()) return done;
        cursor = next.get<u64>();
    }
}

}  // namespace

int show_flows(const Options& options) {
    std::string path;
    if (!options.service.empty()) path += "&service=" + encoded(options.service);
    if (!options.protocol.empty()) path += "&protocol=" + encoded(options.protocol);
    if (!options.address.empty()) path += "&address=" + encoded(options.address);
    if (options.all) return show_all_flows(options, path);
    return show(options, fmt::format("/v1/flows?limit={}&cursor={}{}", options.limit, options.cursor, path),
                flows_text);
}

int command(const Options& options, const std::string& method, const std::string& path,
            const std::string& body, const std::string& success) {
    const Result<Json> answer = Client(options.socket).ask(method, path, body);
    if (!answer) return complain(answer.error());
    fmt::print("{}", options.json ? answer->dump(2) + "\n" : success);
    return done;
}

int explain(const Options& options) {
    const Result<Json> body = explain_body(options.explain);
    if (!body) return complain(body.error(), options.explain.pcap.empty() ? usage : failed);
    const Result<Json> answer = Client(options.socket).ask("POST", "/v1/explain", body->dump());
    if (!answer) return complain(answer.error());
    fmt::print("{}", options.json ? answer->dump(2) + "\n" : explain_text(*answer));
    return done;
}

int config_diff(const Options& options) {
    const Json body = {{"config", absolute_path(options.file)}};
    const Result<Json> answer = Client(options.socket).ask("POST", "/v1/config/diff", body.dump());
    if (!answer) return complain(answer.error());
    fmt::print("{}", options.json ? answer->dump(2) + "\n" : diff_text(*answer));
    return done;
}

int drain_backend(const Options& options, bool drained) {
    const Json body = {{"service", options.service}, {"backend", options.backend}};
    return command(options, "POST", drained ? "/v1/drain" : "/v1/undrain", body.dump(),
                   fmt::format("{} of {} is {}\n", options.backend, options.service,
                               drained ? "draining" : "not drained"));
}

namespace {

// What is sampled from now on, until interrupted.
int follow_trace(const Options& options) {
    double last = -1;
    for (;;) {
        Result<Json> answer = Client(options.socket).ask("GET", "/v1/trace");
        if (!answer) return complain(answer.error());
        Json fresh = Json::array();
        for (const Json& event : answer->at("events")) {
            if (last >= 0 && event.at("time").get<double>() > last) fresh.push_back(event);
        }
        if (last < 0) last = 0;
        for (const Json& event : answer->at("events")) last = std::max(last, event.at("time").get<double>());
        for (const Json& event : fresh)
            fmt::print("{}", options.json ? event.dump() + "\n" : trace_line(event));
        std::fflush(stdout);
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
}

}  // namespace

int capture_packets(const Options& options) {
    const CaptureWords& words = options.capture;
    if (words.file == "-" && (words.megabytes != 0 || words.files != 1))
        return complain(make_error("--size and --files: expected --write FILE, not standard output"), usage);
    const Status status = capture(Client(options.socket), words);
    if (!status && status.error().code == EPIPE) return failed;  // whoever read has what they wanted
    return status ? done : complain(status.error());
}

int diagnose(const Options& options) {
    const Status status = diag(Client(options.socket), options.diag);
    if (!status) return complain(status.error());
    fmt::print("{}\n", options.diag.directory);
    return done;
}

namespace {

Result<Look> look(const Options& options) {
    const Client client(options.socket);
    Result<Json> status = client.ask("GET", "/v1/status");
    if (!status) return status.error();
    Result<Json> services = client.ask("GET", "/v1/services");
    if (!services) return services.error();
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return Look{std::chrono::duration<double>(now).count(), std::move(*status), std::move(*services)};
}

}  // namespace

int show_top(Options& options) {
    options.top.json = options.json;
    const Status status = top(options.top, [&] { return look(options); });
    return status ? done : complain(status.error());
}

int trace(const Options& options) {
    if (options.follow) return follow_trace(options);
    if (options.every.empty()) return show(options, "/v1/trace", trace_text);
    return command(options, "PUT", "/v1/trace",
                   fmt::format("{{\"every\": {}}}", options.every == "off" ? "0" : options.every),
                   options.every == "off" ? "sampling is off\n"
                                          : fmt::format("one packet in {} is sampled\n", options.every));
}

int set_tier(const Options& options) {
    const Json wish = {{"interface", options.interface}, {"tier", options.tier}};
    return command(options, "PUT", "/v1/tier", wish.dump(),
                   options.tier == "auto"
                       ? fmt::format("{}: served as configured\n", options.interface)
                       : fmt::format("{}: served by {}\n", options.interface, options.tier));
}

namespace {

// Everything that the daemon would refuse before it touches anything. Port numbers are by order here.
Status check(const std::string& file) {
    const Result<config::Config> config = config::load_file(file);
    if (!config) return config.error();
    if (Status status = config::check_supported(*config); !status) return status;
    compile::Environment environment;
    for (const config::Interface& interface : config->interfaces) {
        const auto number = static_cast<u8>(std::min<size_t>(environment.ports.size() + 1, NODE_PORTS));
        environment.ports.push_back({interface.name, number, interface.tag, {}});
    }
    const Result<compile::Snapshot> snapshot = compile::compile(*config, environment, nullptr);
    if (!snapshot) return snapshot.error();
    return {};
}

}  // namespace

int config_check(const Options& options) {
    const Status status = check(options.file);
    if (options.json) {
        fmt::print("{}\n",
                   Json{{"ok", status.ok()}, {"error", status ? "" : status.error().message}}.dump(2));
        return status ? done : failed;
    }
    if (!status) {
        fmt::print(stderr, "{}\n", status.error().message);
        return failed;
    }
    fmt::print("{}: good\n", options.file);
    return done;
}

namespace {

int probe_this_machine(const Options& options) {
    const Json found = probe_machine(options.probe);
    fmt::print("{}", options.json ? found.dump(2) + "\n" : probe_text(found));
    return probe_failed(found) ? failed : done;
}

}  // namespace

// What a configuration needs can be asked for before this release, or this machine, can serve it.
int probe(const Options& options) {
    if (options.file.empty()) return probe_this_machine(options);
    const Result<config::Config> config = config::load_file(options.file);
    if (!config) return complain(config.error(), failed);
    const Result<Json> found = probe_huge_pages(*config);
    if (!found) return complain(found.error(), failed);
    fmt::print("{}", options.json ? found->dump(2) + "\n" : huge_pages_text(*found));
    return found->at("missing").empty() ? done : failed;
}

int set_log_level(const Options& options) {
    return command(options, "PUT", "/v1/log-level", Json{{"level", options.level}}.dump(),
                   fmt::format("log level {}\n", options.level));
}

}  // namespace sluice::ctl
