// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/capacity.h"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "control/sizing/capacity.h"

namespace sluice::ctl {

namespace {

using nlohmann::json;

constexpr const char* default_series = "veth to veth, 65536 clients: sluice nat in XDP, packets/s";

struct Measured {
    double packets = 0;
    std::string source;
};

Result<json> read_results(const std::string& path) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) return make_error("{}: is a directory", path);
    std::ifstream in(path);
    if (!in) return system_error(errno, "open {}", path);
    json document = json::parse(in, nullptr, false);
    if (!document.is_object() || !document.contains("scenarios"))
        return make_error("{}: expected the results.json of perf/run.sh", path);
    return document;
}

// Of the machine that was measured.
std::string machine_text(const json& document, const char* name) {
    const auto machine = document.find("machine");
    if (machine == document.end() || !machine->is_object()) return "?";
    const auto text = machine->find(name);
    return text != machine->end() && text->is_string() ? text->get<std::string>() : "?";
}

// Throws json::exception where the file has another shape.
std::optional<double> median_of(const json& scenarios, const std::string& name) {
    for (const auto& [scenario, found] : scenarios.items())
        for (const json& one : found.value("series", json::array()))
            if (one.value("name", "") == name) return one.at("median").get<double>();
    return std::nullopt;
}

// The median of one series of perf/run.sh's results.json.
Result<Measured> from_results(const std::string& path, const std::string& name) {
    const Result<json> document = read_results(path);
    if (!document) return document.error();
    std::optional<double> median;
    try {
        median = median_of(document->at("scenarios"), name);
    } catch (const json::exception&) {
        return make_error("{}: scenarios: expected objects with series, each with a name and a median", path);
    }
    if (!median) return make_error("{}: no series is called \"{}\"", path, name);
    return Measured{*median, fmt::format("{} ({}, {})", name, machine_text(*document, "processor"),
                                         machine_text(*document, "date"))};
}

Result<Measured> measured(const CapacityWords& words) {
    if (!words.results.empty())
        return from_results(words.results, words.benchmark.empty() ? default_series : words.benchmark);
    if (words.packets.empty()) return make_error("what a core carries: expected --core-packets or --results");
    Result<double> packets = control::quantity_of(words.packets);
    if (!packets) return packets.error();
    return Measured{*packets, "as given"};
}

Result<control::CapacityQuestion> question_of(const CapacityWords& words, double packets) {
    control::CapacityQuestion q;
    Result<double> peak = control::quantity_of(words.peak);
    if (!peak) return peak.error().with_context("--peak");
    if (!words.links.empty()) {
        Result<double> links = control::quantity_of(words.links);
        if (!links) return links.error().with_context("--links");
        q.node_bits = *links;
    }
    q.peak_bits = *peak;
    q.packet_bytes = words.bytes;
    q.node_packets = packets;
    q.cores = words.cores;
    q.scaling = words.scaling;
    q.load = words.load;
    q.spare = words.spare;
    return q;
}

std::string text_of(const CapacityWords& words, const Measured& core, const control::CapacityAnswer& a) {
    return fmt::format(
        "peak       {} bit/s at {:g} bytes a packet: {:.2f} M packets/s\n"
        "a core     {:.2f} M packets/s: {}\n"
        "a node     {:.2f} M packets/s: {} cores, the further ones at {:.0f} %, to {:.0f} % of what they "
        "can{}\n"
        "nodes      {} for the peak, {} with {} spare\n"
        "load       {:.0f} % with all nodes, {:.0f} % without the spare ones\n",
        words.peak, words.bytes, a.peak_packets / 1e6, core.packets / 1e6, core.source, a.node_packets / 1e6,
        words.cores, words.scaling * 100, words.load * 100, a.links_bound ? "; the links bound it" : "",
        a.needed, a.nodes, words.spare, a.load_when_well * 100, a.load_when_failed * 100);
}

json json_of(const Measured& core, const control::CapacityAnswer& a) {
    return {{"peak_packets_per_second", a.peak_packets},
            {"core_packets_per_second", core.packets},
            {"source", core.source},
            {"node_packets_per_second", a.node_packets},
            {"bound_by", a.links_bound ? "links" : "cores"},
            {"nodes_needed", a.needed},
            {"nodes", a.nodes},
            {"load", a.load_when_well},
            {"load_without_spare", a.load_when_failed}};
}

int complain(const Error& error) {
    fmt::print(stderr, "sluicectl: {}\n", error.message);
    return 1;
}

// An option's value that `is_good` does not hold for is refused with what was `expected`.
CLI::Validator expecting(const char* expected, bool (*is_good)(double)) {
    return CLI::Validator(
        [expected, is_good](const std::string& text) -> std::string {
            const Result<double> value = control::quantity_of(text);
            return value && is_good(*value) ? "" : fmt::format("value {}: expected {}", text, expected);
        },
        "");
}

void add_core(CLI::App& one, CapacityWords& words, const CLI::Validator& rate) {
    CLI::Option* packets = one.add_option("--core-packets", words.packets,
                                          "packets per second that one core was measured to forward: 3.5M")
                               ->check(rate);
    CLI::Option* results =
        one.add_option("--results", words.results, "results.json of perf/run.sh to take that from")
            ->excludes(packets);
    one.add_option("--series", words.benchmark, "which series of it (default: nat in XDP, 65,536 clients)")
        ->needs(results);
}

}  // namespace

CLI::App* add_capacity(CLI::App& app, CapacityWords& words) {
    const auto rate =
        expecting("a number over 0, with k, M, G or T for thousands", [](double value) { return value > 0; });
    const auto share =
        expecting("more than 0, at most 1", [](double value) { return value > 0 && value <= 1; });
    CLI::App* one = app.add_subcommand(
        "capacity", "how many nodes a peak takes, from measured figures; no daemon is asked");
    one->add_option("--peak", words.peak, "bits per second at the peak: 100G")->required()->check(rate);
    add_core(*one, words, rate);
    one->add_option("--bytes", words.bytes, "mean packet on the wire (default 800)");
    one->add_option("--cores", words.cores, "cores of a node that forward (default 1)");
    one->add_option("--scaling", words.scaling,
                    "what a further core adds, as a share of the first (default 0.95)")
        ->check(share);
    one->add_option("--links", words.links, "bits per second of a node's links: 25G")->check(rate);
    one->add_option("--load", words.load, "share of what it can that a node is to carry (default 0.8)")
        ->check(share);
    one->add_option("--spare", words.spare, "nodes that may fail at the peak (default 1)")
        ->check(expecting("0 to 10000", [](double value) { return value <= 10'000; }));
    return one;
}

int capacity(const CapacityWords& words, bool as_json) {
    const Result<Measured> core = measured(words);
    if (!core) return complain(core.error());
    const Result<control::CapacityQuestion> question = question_of(words, core->packets);
    if (!question) return complain(question.error());
    const Result<control::CapacityAnswer> answer = control::capacity_of(*question);
    if (!answer) return complain(answer.error());
    fmt::print("{}", as_json ? json_of(*core, *answer).dump(2) + "\n" : text_of(words, *core, *answer));
    return 0;
}

}  // namespace sluice::ctl
