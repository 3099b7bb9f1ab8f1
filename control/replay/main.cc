// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include <cstdio>
#include <map>

#include "control/replay/replay.h"
#include "dataplane/base/log.h"

namespace {

using sluice::replay::Tier;

enum Exit { done = 0, failed = 1, usage = 2 };

int complain(const sluice::Error& error) {
    std::fprintf(stderr, "sluice-replay: %s\n", error.message.c_str());
    return failed;
}

}  // namespace

int main(int argc, char** argv) {
    const std::map<std::string, Tier> tiers{
        {"native", Tier::native}, {"dpdk", Tier::dpdk}, {"xdp", Tier::xdp}};
    std::string tier = "native";
    sluice::replay::Options options;
    CLI::App app("Runs a capture through the packet pipeline, offline. docs/replay.md describes its files.",
                 "sluice-replay");
    app.add_option("--config", options.config, "configuration (YAML)")->required();
    app.add_option("--in", options.in, "capture to read: pcap or pcapng, Ethernet")->required();
    app.add_option("--out", options.out, "capture to write: what would leave, in order");
    app.add_option("--verdicts", options.verdicts,
                   "verdicts to write: one JSON object per input packet; - for standard output");
    app.add_option("--interface", options.interface, "as if received on this interface (default: the first)");
    app.add_option("--tier", tier, "native, dpdk (the engine behind DPDK ports), or xdp (needs root)")
        ->check(CLI::IsMember(tiers));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? done : usage;
    }
    options.tier = tiers.at(tier);
    // Standard output is for verdicts.
    if (const sluice::Status status = sluice::log_init({"warn", "text", stderr}); !status)
        return complain(status.error());
    const sluice::Status status = sluice::replay::run(options);
    return status ? done : complain(status.error());
}
