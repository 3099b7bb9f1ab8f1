// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/daemon.h"

#include <unistd.h>
#include <csignal>

#include <filesystem>
#include <thread>

#include "control/config/loader.h"
#include "control/config/support.h"
#include "dataplane/base/log.h"

namespace sluice::control {

namespace {

using namespace std::chrono_literals;

constexpr auto drain_limit = 25s;  // within the 30 s that orchestrators give
constexpr auto drain_period = 50ms;

}  // namespace

Result<config::Config> load_configuration(const std::string& file) {
    Result<config::Config> config = config::load_file(file);
    if (!config) return config.error();
    if (Status status = config::check_supported(*config); !status) return status.error();
    return config;
}

Result<std::unique_ptr<Daemon>> Daemon::start(const DaemonOptions& options) {
    std::unique_ptr<Daemon> daemon(new Daemon(options));
    Status status = daemon->begin();
    if (status) return daemon;
    // What an earlier daemon left forwarding stays; what this one began, it takes away again.
    Tiers* const tiers = daemon->tiers_.get();
    if (tiers != nullptr && tiers->xdp() != nullptr && !tiers->xdp()->maps().adopted()) {
        if (Status undone = tiers->detach_all(); !undone) spdlog::warn("{}", undone.error().message);
    }
    return status.error();
}

// Files are watched before they are read, so that no change is missed.
Status Daemon::open_loop() {
    Result<std::unique_ptr<EventLoop>> loop = EventLoop::create();
    if (!loop) return loop.error();
    loop_ = std::move(*loop);
    if (options_.watch) watch_files();
    return {};
}

Status Daemon::begin() {
    if (Status status = open_loop(); !status) return status;
    Result<config::Config> config = load_configuration(options_.file);
    if (!config) return config.error();
    config_ = std::move(*config);
    sections_ = config_.interfaces;
    if (Status status = log_init({config_.log.level, config_.log.format, stderr}); !status) return status;
    if (Status status = take_node(); !status) return status;
    if (Status status = begin_work(); !status) return status;
    if (!received_) return {};
    const Status told = received_->tell_ready();
    received_.reset();
    return told;
}

Status Daemon::take_node() {
    const std::string path = config_.control.socket + ".lock";
    if (options_.upgrade) {
        Result<Handover> received = Handover::take(config_.control.socket);
        if (!received) return received.error();
        received_ = std::move(*received);
        proxy_.inherit(std::move(received_->listeners));
    }
    Result<NodeLock> lock =
        received_ ? NodeLock::share(std::move(received_->lock), path) : NodeLock::take(path);
    if (!lock) return lock.error();
    lock_ = std::move(*lock);
    return {};
}

Status Daemon::begin_work() {
    backend_states_ = std::make_unique<BackendStates>(*loop_, [this] { backend_states_changed(); });
    const auto on_signal = [this](int signal) {
        if (signal != SIGHUP) return drain();
        if (Status status = reload_now(); !status)
            spdlog::error("reload refused: {}", status.error().message);
    };
    if (auto id = loop_->on_signals({SIGTERM, SIGINT, SIGHUP}, on_signal); !id) return id.error();
    if (Status status = open_mirror(); !status) return status;
    if (Status status = open_tiers(); !status) return status;
    if (Status status = start_timers(); !status) return status;
    if (Status status = serve(); !status) return status;
    return offer_handover();
}

Status Daemon::run() {
    spdlog::info("sluice {} runs, metrics at {}, control at {}", SLUICE_VERSION,
                 config_.metrics.listen.text(), config_.control.socket);
    Status status = loop_->run();
    while (status && successor_) {
        if (hand_over()) return finish_proxied();
        status = open_loop();
        if (status) follow_files();
        if (status) status = begin_work();
        if (status) status = loop_->run();
    }
    stopping_ = true;
    if (!options_.detach) {
        spdlog::info("stopped{}", tiers_->xdp() != nullptr ? "; the XDP tier goes on forwarding" : "");
        return status;
    }
    const Status detached = tiers_->detach_all();
    spdlog::info("stopped; everything was taken off the node");
    return status ? detached : status;
}

// Proxied connections may finish; the node is not ready meanwhile. A second signal ends it at once.
void Daemon::drain() {
    if (drain_until_ || proxy_.done()) return stop();
    drain_until_ = std::chrono::steady_clock::now() + drain_limit;
    proxy_.drain();
    spdlog::info("draining: {} proxied connections are open", proxy_.connections());
    auto id = loop_->every(drain_period, [this] {
        if (proxy_.done() || std::chrono::steady_clock::now() >= *drain_until_) stop();
    });
    if (!id) stop();
}

void Daemon::stop() {
    stopping_ = true;
    loop_->stop();
}

Daemon::~Daemon() {
    let_go();
    if (received_) give_back();
    proxy_.stop();
}

// The daemon before this one goes on; what this one has accepted may finish.
void Daemon::give_back() {
    received_.reset();
    proxy_.leave();
    const auto until = std::chrono::steady_clock::now() + drain_limit;
    while (!proxy_.done() && std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(drain_period);
}

Status Daemon::clean(const std::string& file) {
    Result<config::Config> config = load_configuration(file);
    if (!config) return config.error();
    const Result<NodeLock> lock = NodeLock::take(config->control.socket + ".lock");
    if (!lock) return lock.error();
    if (Status status = ProxyTier::clean(); !status) return status;
    if (Status status = PacketTier::clean(); !status) return status;
    std::error_code ignored;
    if (!std::filesystem::exists(config->state.bpffs, ignored)) return {};
    const MapSizes sizes = MapSizes::rounded(config->tables.flows, config->tables.sources,
                                             config->tables.backends, POLICY_MAX_WORDS * 64);
    auto xdp = XdpDataplane::open({config->state.bpffs, sizes, false});
    if (!xdp) return xdp.error();
    return (*xdp)->detach_all();
}

}  // namespace sluice::control
