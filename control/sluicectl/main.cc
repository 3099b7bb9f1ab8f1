// SPDX-License-Identifier: Apache-2.0
//
// sluicectl: the command line. Exit status 0: done; 1: refused or failed; 2: the command line makes no sense;
// 3: no daemon answers.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>

#include "control/compile/compiler.h"
#include "control/config/describe.h"
#include "control/config/json_schema.h"
#include "control/config/loader.h"
#include "control/config/support.h"
#include "control/sluicectl/client.h"
#include "control/sluicectl/probe.h"
#include "control/sluicectl/probe_machine.h"
#include "control/sluicectl/render.h"

namespace sluice::ctl {
namespace {

enum Exit { done = 0, failed = 1, usage = 2, unreachable = 3 };

struct Options {
    std::string socket = "/run/sluice/sluice.sock";
    bool json = false;
    std::string file;
    u32 limit = 100;
    u64 cursor = 0;
    std::string service, protocol, address, backend;
    std::string every;
    ProbeOptions probe;
};

int complain(const Error& error, int status) {
    fmt::print(stderr, "sluicectl: {}\n", error.message);
    return status;
}

int show(const Options& options, const std::string& path, std::string (*render)(const Json&)) {
    const Result<Json> answer = Client(options.socket).ask("GET", path);
    if (!answer) return complain(answer.error(), unreachable);
    fmt::print("{}", options.json ? answer->dump(2) + "\n" : render(*answer));
    return done;
}

int show_flows(const Options& options) {
    std::string path = fmt::format("/v1/flows?limit={}&cursor={}", options.limit, options.cursor);
    if (!options.service.empty()) path += "&service=" + options.service;
    if (!options.protocol.empty()) path += "&protocol=" + options.protocol;
    if (!options.address.empty()) path += "&address=" + options.address;
    return show(options, path, flows_text);
}

int command(const Options& options, const std::string& method, const std::string& path,
            const std::string& body, const std::string& success) {
    const Result<Json> answer = Client(options.socket).ask(method, path, body);
    if (!answer) return complain(answer.error(), failed);
    fmt::print("{}", options.json ? answer->dump(2) + "\n" : success);
    return done;
}

int drain_backend(const Options& options, bool drained) {
    const Json body = {{"service", options.service}, {"backend", options.backend}};
    return command(options, "POST", drained ? "/v1/drain" : "/v1/undrain", body.dump(),
                   fmt::format("{} of {} is {}\n", options.backend, options.service,
                               drained ? "draining" : "not drained"));
}

int trace(const Options& options) {
    if (options.every.empty()) return show(options, "/v1/trace", trace_text);
    return command(options, "PUT", "/v1/trace",
                   fmt::format("{{\"every\": {}}}", options.every == "off" ? "0" : options.every),
                   options.every == "off" ? "sampling is off\n"
                                          : fmt::format("one packet in {} is sampled\n", options.every));
}

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

int probe_this_machine(const Options& options) {
    const Json found = probe_machine(options.probe);
    fmt::print("{}", options.json ? found.dump(2) + "\n" : probe_text(found));
    return probe_failed(found) ? failed : done;
}

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

int run(int argc, char** argv) {
    Options options;
    int result = done;
    CLI::App app("Asks and steers the sluice daemon of this node.", "sluicectl");
    app.require_subcommand(1);
    app.set_version_flag("--version", SLUICE_VERSION);
    app.add_option("--socket", options.socket, "the daemon's control socket")
        ->capture_default_str()
        ->envname("SLUICE_SOCKET");
    app.add_flag("--json", options.json, "the answer as JSON");
    app.fallthrough();

    const auto add = [&](CLI::App& to, const char* name, const char* help, std::function<int()> action) {
        CLI::App* sub = to.add_subcommand(name, help);
        sub->callback([&result, action = std::move(action)] { result = action(); });
        return sub;
    };
    add(app, "status", "interfaces, tiers, traffic, workers",
        [&] { return show(options, "/v1/status", status_text); });
    add(app, "services", "services and their backends",
        [&] { return show(options, "/v1/services", services_text); });
    add(app, "policy", "rules and what they decided",
        [&] { return show(options, "/v1/policy", policy_text); });
    CLI::App* flows = add(app, "flows", "live connections", [&] { return show_flows(options); });
    flows->add_option("--limit", options.limit, "flows to list")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    flows->add_option("--cursor", options.cursor, "where to go on");
    flows->add_option("--service", options.service, "only of this service");
    flows->add_option("--protocol", options.protocol, "only tcp, udp, sctp, icmp, icmpv6 or a number");
    flows->add_option("--address", options.address, "only with this address at either end or as the backend");
    add(app, "reload", "read the configuration again",
        [&] { return command(options, "POST", "/v1/reload", "", "reloaded\n"); });
    for (const bool drained : {true, false}) {
        CLI::App* drain = add(app, drained ? "drain" : "undrain",
                              drained ? "a backend gets no new flows; those it has may finish"
                                      : "a drained backend gets new flows again",
                              [&options, drained] { return drain_backend(options, drained); });
        drain->add_option("SERVICE", options.service)->required();
        drain->add_option("BACKEND", options.backend, "as `services` names it")->required();
    }
    CLI::App* trace_command =
        add(app, "trace", "sampled packets and their verdicts", [&] { return trace(options); });
    trace_command->add_option("--every", options.every, "sample one packet in N, or off")
        ->check(CLI::IsMember({"off"}) | CLI::Range(1U, 4294967295U));
    CLI::App* config =
        app.add_subcommand("config", "configuration files; needs no daemon")->require_subcommand(1);
    CLI::App* check_command =
        add(*config, "check", "would the daemon take this file?", [&] { return config_check(options); });
    check_command->add_option("FILE", options.file)->required();
    add(*config, "reference", "every key, as Markdown", [&] {
        fmt::print("{}", config::describe());
        return int{done};
    });
    add(*config, "schema", "the file's JSON schema, for editors and checks", [&] {
        fmt::print("{}", config::json_schema());
        return int{done};
    });
    CLI::App* probe_command =
        add(app, "probe",
            "what this machine and its interfaces can do, and what to do about the rest; needs no daemon",
            [&] { return probe(options); });
    probe_command->add_option("--hugepages", options.file, "sizes packet buffers for this configuration")
        ->option_text("FILE");
    probe_command->add_option("INTERFACE", options.probe.interfaces,
                              "only these; without any all but loopback");
    probe_command->add_flag("--try", options.probe.try_sockets,
                            "open a zero-copy XDP socket on queue 0 of each");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? done : usage;
    }
    return result;
}

}  // namespace
}  // namespace sluice::ctl

int main(int argc, char** argv) {
    try {
        return sluice::ctl::run(argc, argv);
    } catch (const std::exception& error) {  // an answer of another version's shape, no memory
        fmt::print(stderr, "sluicectl: {}\n", error.what());
        return sluice::ctl::failed;
    }
}
