// SPDX-License-Identifier: Apache-2.0
#include "control/replay/replay.h"

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

Status play_all(CaptureReader& reader, Player& player) {
    CapturedPacket packet;
    for (;;) {
        Result<bool> more = reader.next(packet);
        if (!more || !*more) {
            player.end();
            return more ? Status() : Status(more.error());
        }
        player.play(packet);
    }
}

}  // namespace

Status run(const Options& options) {
    Result<config::Config> config = load(options.config);
    if (!config) return config.error();
    Result<std::unique_ptr<OfflineNode>> node = OfflineNode::create(*config);
    if (!node) return node.error().with_context(options.config);
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
    Player player(**node, ports.ports[*port].ifindex, out.get(), log.get());
    Status status = play_all(**reader, player);
    if (out != nullptr && status) status = out->close();
    if (log != nullptr && status) status = log->close();
    return status;
}

}  // namespace sluice::replay
