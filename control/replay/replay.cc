// SPDX-License-Identifier: Apache-2.0
#include "control/replay/replay.h"

#include <filesystem>

#include "control/config/loader.h"
#include "control/config/support.h"
#include "control/replay/player.h"

namespace sluice::replay {

namespace {

Result<config::Config> load(const std::string& path) {
    Result<config::Config> config = config::load_file(path);
    if (!config) return config.error();
    if (Status status = config::check_supported(*config); !status) return status.error();
    return config;
}

// For tier xdp, `xdp` is what the node's tables are shared with.
Result<std::unique_ptr<OfflineNode>> make_node(const config::Config& config, Tier tier,
                                               std::unique_ptr<XdpTier>& xdp) {
    if (tier != Tier::xdp) return OfflineNode::create(config);
    Result<OfflinePorts> ports = OfflinePorts::of(config);
    if (!ports) return ports.error();
    Result<std::unique_ptr<XdpTier>> made = XdpTier::create(config, *ports);
    if (!made) return made.error();
    xdp = std::move(*made);
    return OfflineNode::create(config, std::move(*ports), xdp->dataplane());
}

bool same_file(const std::string& a, const std::string& b) {
    std::error_code neither_is_there;
    return a == b || std::filesystem::equivalent(a, b, neither_is_there);
}

// An output that is also read, or written twice, would be lost while it is.
Status check_files(const Options& options) {
    struct File {
        const char* option;
        const std::string& path;
    };
    const File files[] = {{"--in", options.in},
                          {"--config", options.config},
                          {"--out", options.out},
                          {"--verdicts", options.verdicts}};
    for (const File& output : {files[2], files[3]}) {
        for (const File& other : files) {
            if (output.option == other.option || output.path.empty() || !same_file(output.path, other.path))
                continue;
            return make_error("{} {}: expected another file than that of {}", output.option, output.path,
                              other.option);
        }
    }
    return {};
}

Status play_all(CaptureReader& reader, Player& player) {
    CapturedPacket packet;
    for (;;) {
        Result<bool> more = reader.next(packet);
        if (!more || !*more) {
            player.end();
            return more ? Status() : Status(more.error());
        }
        if (Status status = player.play(packet); !status) return status;
    }
}

}  // namespace

Status run(const Options& options) {
    if (Status status = check_files(options); !status) return status;
    Result<config::Config> config = load(options.config);
    if (!config) return config.error();
    std::unique_ptr<XdpTier> xdp;
    Result<std::unique_ptr<OfflineNode>> node = make_node(*config, options.tier, xdp);
    if (!node) return node.error();
    const OfflinePorts& ports = (*node)->ports();
    const std::string& name = options.interface.empty() ? ports.names.at(1) : options.interface;
    const auto port = ports.find(name);
    if (!port) return make_error("--interface {}: expected one of {}", name, options.config);
    Result<std::unique_ptr<CaptureReader>> reader = CaptureReader::open(options.in);
    if (!reader) return reader.error();

    std::unique_ptr<CaptureWriter> out;
    if (!options.out.empty()) {
        Result<std::unique_ptr<CaptureWriter>> made =
            CaptureWriter::create(options.out, (*reader)->nanoseconds());
        if (!made) return made.error();
        out = std::move(*made);
    }
    std::unique_ptr<VerdictLog> log;
    if (!options.verdicts.empty()) {
        Result<std::unique_ptr<VerdictLog>> made =
            VerdictLog::create(options.verdicts, (*node)->snapshot(), *config, ports.names);
        if (!made) return made.error();
        log = std::move(*made);
    }
    std::unique_ptr<DpdkRig> dpdk;
    if (options.tier == Tier::dpdk) {
        Result<std::unique_ptr<DpdkRig>> made = DpdkRig::create(**node);
        if (!made) return made.error();
        dpdk = std::move(*made);
    }
    Player player(**node, ports.ports[*port].ifindex, {xdp.get(), dpdk.get()}, out.get(), log.get());
    Status status = play_all(**reader, player);
    if (out != nullptr && status) status = out->close();
    if (log != nullptr && status) status = log->close();
    return status;
}

}  // namespace sluice::replay
