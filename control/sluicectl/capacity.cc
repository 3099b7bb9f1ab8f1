// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/capacity.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>

#include "control/sizing/capacity.h"

namespace sluice::ctl {

namespace {

using nlohmann::json;

constexpr const char* default_series = "veth to veth, 65536 clients: sluice nat in XDP, packets/s";

struct Measured {
    double packets = 0;
    std::string source;
};

// The median of one series of perf/run.sh's results.json.
Result<Measured> from_results(const std::string& path, const std::string& name) {
    std::ifstream in(path);
    if (!in) return system_error(errno, "open {}", path);
    const json document = json::parse(in, nullptr, false);
    if (!document.is_object() || !document.contains("scenarios"))
        return make_error("{}: expected the results.json of perf/run.sh", path);
    for (const auto& [scenario, found] : document["scenarios"].items())
        for (const json& one : found.value("series", json::array()))
            if (one.value("name", "") == name)
                return Measured{one.value("median", 0.0),
                                fmt::format("{} ({}, {})", name, document["machine"].value("processor", "?"),
                                            document["machine"].value("date", "?"))};
    return make_error("{}: no series is called \"{}\"", path, name);
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

}  // namespace

CLI::App* add_capacity(CLI::App& app, CapacityWords& words) {
    CLI::App* one = app.add_subcommand(
        "capacity", "how many nodes a peak takes, from measured figures; no daemon is asked");
    one->add_option("--peak", words.peak, "bits per second at the peak: 100G")->required();
    one->add_option("--core-packets", words.packets,
                    "packets per second that one core was measured to forward: 3.5M");
    one->add_option("--results", words.results, "results.json of perf/run.sh to take that from");
    one->add_option("--series", words.benchmark, "which series of it (default: nat in XDP, 65,536 clients)");
    one->add_option("--bytes", words.bytes, "mean packet on the wire (default 800)");
    one->add_option("--cores", words.cores, "cores of a node that forward (default 1)");
    one->add_option("--scaling", words.scaling,
                    "what a further core adds, as a share of the first (default 0.95)");
    one->add_option("--links", words.links, "bits per second of a node's links: 25G");
    one->add_option("--load", words.load, "share of what it can that a node is to carry (default 0.8)");
    one->add_option("--spare", words.spare, "nodes that may fail at the peak (default 1)");
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
