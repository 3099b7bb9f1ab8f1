// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include <cstdio>
#include <map>

#include "control/replay/replay.h"

int main(int argc, char** argv) {
    using sluice::replay::Tier;
    sluice::replay::Options options;
    CLI::App app("Runs a capture through the packet pipeline, offline. docs/replay.md describes its files.",
                 "sluice-replay");
    app.add_option("--config", options.config, "configuration (YAML)")->required();
    app.add_option("--in", options.in, "capture to read: pcap or pcapng, Ethernet")->required();
    app.add_option("--out", options.out, "capture to write: what would leave, in order");
    app.add_option("--verdicts", options.verdicts,
                   "verdicts to write: one JSON object per input packet; - for standard output");
    app.add_option("--interface", options.interface, "as if received on this interface (default: the first)");
    app.add_option("--tier", options.tier, "native, dpdk (the engine behind DPDK ports), or xdp (needs root)")
        ->transform(CLI::CheckedTransformer(
            std::map<std::string, Tier>{{"native", Tier::native}, {"dpdk", Tier::dpdk}, {"xdp", Tier::xdp}}));
    CLI11_PARSE(app, argc, argv);
    const sluice::Status status = sluice::replay::run(options);
    if (status) return 0;
    std::fprintf(stderr, "sluice-replay: %s\n", status.error().message.c_str());
    return 1;
}
