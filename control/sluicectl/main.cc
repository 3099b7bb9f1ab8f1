// SPDX-License-Identifier: Apache-2.0
//
// sluicectl: the command line. Exit status 0: done; 1: refused, or failed; 2: the command line makes no
// sense; 3: no daemon answers (Exit).
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>

#include "control/config/describe.h"
#include "control/config/json_schema.h"
#include "control/sluicectl/actions.h"
#include "control/sluicectl/capacity.h"
#include "control/sluicectl/render.h"
#include "control/sluicectl/words.h"

namespace sluice::ctl {
namespace {

template <typename Add>
void add_drain(CLI::App& app, const Add& add, Options& options) {
    for (const bool drained : {true, false}) {
        CLI::App* drain = add(app, drained ? "drain" : "undrain",
                              drained ? "a backend gets no new flows; those it has may finish"
                                      : "a drained backend gets new flows again",
                              [&options, drained] { return drain_backend(options, drained); });
        drain->add_option("SERVICE", options.service)->required();
        drain->add_option("BACKEND", options.backend, "as `services` names it")->required();
    }
}

template <typename Add>
void add_top(CLI::App& app, const Add& add, Options& options) {
    CLI::App* screen = add(app, "top", "rates of interfaces, tiers, services and workers, live",
                           [&options] { return show_top(options); });
    screen->add_option("--every", options.top.every, "seconds between two looks")
        ->check(CLI::Range(0.1, 3600.0))
        ->capture_default_str();
    screen->add_option("--count", options.top.count, "screens, then end; 0: until q is pressed")
        ->capture_default_str();
    CLI::App* level = add(app, "log-level", "how much the daemon logs, until the next reload or restart",
                          [&options] { return set_log_level(options); });
    level->add_option("LEVEL", options.level, "trace, debug, info, warn, error, critical or off")->required();
}

// Of the program itself.
template <typename Add>
void add_words(CLI::App& app, const Add& add, Options& options) {
    CLI::App* completion =
        add(app, "completion", "what a shell needs to complete this command", [&app, &options] {
            fmt::print("{}", completion_of(app, options.shell));
            return int{done};
        });
    completion->add_option("SHELL", options.shell, "bash or zsh")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh"}));
    add(app, "manual", "sluicectl(8), for man -l", [&app] {
        fmt::print("{}", manual_of(app));
        return int{done};
    });
}

template <typename Add>
void add_tier(CLI::App& app, const Add& add, Options& options) {
    CLI::App* tier = app.add_subcommand("tier", "what serves an interface")->require_subcommand(1);
    CLI::App* set = add(*tier, "set", "move an interface to another tier, its connections with it",
                        [&options] { return set_tier(options); });
    set->add_option("INTERFACE", options.interface)->required();
    set->add_option("TIER", options.tier, "xdp, af_xdp, dpdk, epoll, or auto: as configured")
        ->required()
        ->check(CLI::IsMember({"xdp", "af_xdp", "dpdk", "epoll", "auto"}));
}

template <typename Add>
void add_explain(CLI::App& app, const Add& add, Options& options) {
    CLI::App* command = add(app, "explain", "what would happen to a packet, and why",
                            [&options] { return explain(options); });
    ExplainWords& words = options.explain;
    command->add_option("PROTOCOL", words.protocol, "tcp, udp, sctp, icmp or icmpv6");
    command->add_option("SOURCE", words.source, "such as 10.0.0.2:4242");
    command->add_option("DESTINATION", words.destination, "such as 192.0.2.10:80");
    command->add_option("--pcap", words.pcap, "each packet of this capture instead")->option_text("FILE");
    command->add_option("--count", words.count, "packets of it, at most")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    command->add_option("--interface", words.interface, "that the packet comes by");
    command->add_option("--config", words.config, "if this file were in force")->option_text("FILE");
}

template <typename Add>
void add_flows(CLI::App& app, const Add& add, Options& options) {
    CLI::App* flows = add(app, "flows", "live connections", [&options] { return show_flows(options); });
    flows->add_option("--limit", options.limit, "flows to list")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    flows->add_option("--cursor", options.cursor, "where to go on");
    flows->add_flag("--all", options.all, "all of them, page by page");
    flows->add_option("--service", options.service, "only of this service");
    flows->add_option("--protocol", options.protocol, "only tcp, udp, sctp, icmp, icmpv6 or a number");
    flows->add_option("--address", options.address, "only with this address at either end or as the backend");
}

template <typename Add>
void add_trace(CLI::App& app, const Add& add, Options& options) {
    CLI::App* trace_command =
        add(app, "trace", "sampled packets and their verdicts", [&options] { return trace(options); });
    trace_command->add_option("--every", options.every, "sample one packet in N, or off")
        ->check(CLI::IsMember({"off"}) | CLI::Range(1U, 4294967295U));
    trace_command->add_flag("--follow", options.follow, "go on with what is sampled from now on");
}

// Says no more than is of use: a bound of doubles would be printed with 309 digits.
CLI::Validator seconds_from(double least, const char* expected) {
    constexpr double longest = 1e9;
    return CLI::Validator(
        [least, expected](const std::string& text) -> std::string {
            double value = 0;
            const bool good = CLI::detail::lexical_cast(text, value) && value >= least && value <= longest;
            return good ? "" : fmt::format("value {}: expected {}", text, expected);
        },
        "SECONDS");
}

template <typename Add>
void add_capture(CLI::App& app, const Add& add, Options& options) {
    CLI::App* command =
        add(app, "capture", "packets with their verdicts, as they come: as lines, or a pcapng file",
            [&options] { return capture_packets(options); });
    CaptureWords& words = options.capture;
    command->add_option("FILTER", words.filter, "an expression as tcpdump takes it");
    command->add_option("--write", words.file, "to this file instead, - for standard output")
        ->option_text("FILE");
    command->add_option("--interface", words.interface, "only packets that come by it");
    command->add_option("--tier", words.tier, "only what this tier sees")
        ->check(CLI::IsMember({"xdp", "af_xdp", "dpdk", "epoll"}));
    command->add_option("--direction", words.direction, "in: as they come; out: as they leave; or both")
        ->check(CLI::IsMember({"in", "out", "both"}))
        ->capture_default_str();
    command->add_option("--bytes", words.bytes, "of each packet")
        ->check(CLI::Range(14, 2048))
        ->capture_default_str();
    command->add_option("--count", words.count, "packets, then end");
    command->add_option("--seconds", words.seconds, "then end")
        ->check(seconds_from(1e-3, "0.001 to 1e9 seconds"));
    CLI::Option* size =
        command->add_option("--size", words.megabytes, "MiB of a file, then end, or go on with the next one")
            ->needs(command->get_option("--write"));
    command
        ->add_option("--files", words.files,
                     "go on with FILE.1 and so on; the oldest of so many is overwritten")
        ->needs(size)
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    command->add_flag("--dns", words.dns, "DNS answers alone");
}

template <typename Add>
void add_diag(CLI::App& app, const Add& add, Options& options) {
    CLI::App* command =
        add(app, "diag", "everything that is needed to look into a fault, into a new directory",
            [&options] { return diagnose(options); });
    command->add_option("DIRECTORY", options.diag.directory)->required();
    command->add_option("--seconds", options.diag.seconds, "of capture; 0: none")
        ->check(seconds_from(0, "0 to 1e9 seconds"))
        ->capture_default_str();
    command->add_option("--size", options.diag.megabytes, "MiB of capture, at most")->capture_default_str();
}

template <typename Add>
void add_config(CLI::App& app, const Add& add, Options& options) {
    CLI::App* config = app.add_subcommand("config", "configuration files")->require_subcommand(1);
    CLI::App* diff_command = add(*config, "diff", "what a file would change, live flows included",
                                 [&options] { return config_diff(options); });
    diff_command->add_option("FILE", options.file)->required();
    CLI::App* check_command = add(*config, "check", "would the daemon take this file?",
                                  [&options] { return config_check(options); });
    check_command->add_option("FILE", options.file)->required();
    add(*config, "reference", "every key, as Markdown", [] {
        fmt::print("{}", config::describe());
        return int{done};
    });
    add(*config, "schema", "the file's JSON schema, for editors and checks", [] {
        fmt::print("{}", config::json_schema());
        return int{done};
    });
}

template <typename Add>
void add_probe(CLI::App& app, const Add& add, Options& options) {
    CLI::App* probe_command =
        add(app, "probe",
            "what this machine and its interfaces can do, and what to do about the rest; needs no daemon",
            [&options] { return probe(options); });
    probe_command->add_option("--hugepages", options.file, "sizes packet buffers for this configuration")
        ->option_text("FILE");
    probe_command->add_option("INTERFACE", options.probe.interfaces,
                              "only these; without any all but loopback");
    probe_command->add_flag("--try", options.probe.try_sockets,
                            "open a zero-copy XDP socket on queue 0 of each");
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
    add_flows(app, add, options);
    add(app, "reload", "read the configuration again",
        [&] { return command(options, "POST", "/v1/reload", "", "reloaded\n"); });
    add_drain(app, add, options);
    add_top(app, add, options);
    add_trace(app, add, options);
    add_capture(app, add, options);
    add_diag(app, add, options);
    add_explain(app, add, options);
    add_words(app, add, options);
    add_tier(app, add, options);
    add_config(app, add, options);
    add_probe(app, add, options);
    CapacityWords words;
    add_capacity(app, words)->callback([&] { result = capacity(words, options.json); });
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
