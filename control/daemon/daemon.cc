// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/on_loop.h"

#include <sys/epoll.h>
#include <unistd.h>
#include <csignal>

#include <filesystem>
#include <thread>

#include "control/compile/prefix.h"
#include "control/config/loader.h"
#include "control/config/support.h"
#include "control/daemon/flow_list.h"
#include "control/daemon/kept_names.h"
#include "control/daemon/nat_ports.h"
#include "control/daemon/ticks.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"
#include "dataplane/io/xdp/pinned_text.h"

namespace sluice::control {

namespace {

using namespace std::chrono_literals;

constexpr auto sweep_period = 100ms;
constexpr u32 sweeps_per_round = 100;  // an expired flow is gone, and counted, within ten seconds
constexpr u32 least_slots_per_sweep = 4096;
constexpr auto neighbor_period = 1s;
constexpr auto tend_period = 1s;
constexpr auto patience = 10s;
constexpr auto drain_limit = 25s;  // within the 30 s that orchestrators give
constexpr auto drain_period = 50ms;
constexpr auto reload_patience = 60s;

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

Status Daemon::open_mirror() {
    auto mirror = netlink::KernelMirror::create(
        *loop_, [this](const auto& before, const auto& now) { kernel_changed(before, now); });
    if (!mirror) return mirror.error();
    mirror_ = std::move(*mirror);
    return {};
}

Status Daemon::open_tiers() {
    tiers_ = std::make_unique<Tiers>(*mirror_, options_.flags.numa);
    for (const config::Interface& interface : config_.interfaces) {
        if (interface.is_sub_interface()) continue;
        Result<InterfacePlan> plan = plan_interface(interface, options_.flags);
        if (!plan) return plan.error();
        plans_.emplace(interface.name, std::move(*plan));
    }
    if (Status status = tiers_->open(config_, plans_); !status) return status;
    if (Status status = confine(); !status) return status;  // threads that start now are confined, too
    start_captures();
    if (Status status = tiers_->start_evaluation(); !status) return status;
    if (tiers_->is_open()) {
        node_state& node = tiers_->node();
        generation_ = node.generation;
        const NatPorts ports = nat_ports_of_node();
        node.nat_port_first = ports.first;
        node.nat_port_count = ports.count;
        struct tables tables {};
        tiers_->tables().fill(tables);
        sweeper_ = std::make_unique<FlowSweeper>(tables);
    } else {
        spdlog::warn("no interface has a tier of ours: every packet passes to the host");
    }
    if (Status status = adopt_numbers(); !status) return status;
    adopt_names();
    adopt_backend_states();
    Result<Candidate> candidate = prepare(config_, moves_);
    if (!candidate) return candidate.error();
    return apply(std::move(*candidate));
}

// Before the first thread, so that all have it. What comes up from here on does so as after any reload.
Status Daemon::confine() {
    if (!options_.confine) {
        confinement_.leave("--no-confine was given");
        return {};
    }
    return confinement_.take(needs_of(config_, plans_, options_.flags));
}

// Ports that an earlier daemon numbered keep their numbers: flows remember them.
Status Daemon::adopt_numbers() {
    if (!tiers_->is_open()) return {};
    const node_state& node = tiers_->node();
    for (const LogicalInterface& interface : logical_interfaces(config_)) {
        const netlink::Link* link = mirror_->view().link(interface.device);
        for (u32 number = 1; link != nullptr && number < NODE_PORTS; ++number) {
            const node_port& port = node.ports[number];
            if (port.ifindex == link->ifindex && port.vlan == interface.vlan)
                numbers_.adopt(interface.name, static_cast<u8>(number));
        }
    }
    return {};
}

// So do services, backends and rules. Without what was kept, the numbers follow the configuration's order.
void Daemon::adopt_names() {
    if (tiers_->xdp() == nullptr || !tiers_->xdp()->maps().adopted()) return;
    const auto text = read_pinned_text(tiers_->xdp()->maps().directory(), kept_names_pin);
    if (!text || !text->has_value()) {
        spdlog::warn("names that flows and counters had are not known any more: {}",
                     text ? "none were kept" : text.error().message);
        return;
    }
    Result<compile::Identities> identities = identities_of(**text);
    if (!identities) {
        spdlog::warn("names that flows and counters had cannot be read: {}", identities.error().message);
        return;
    }
    auto naming = std::make_shared<Naming>();
    naming->identities = std::move(*identities);
    naming_ = std::move(naming);
}

Status Daemon::start_timers() {
    const auto every = [this](EventLoop::Duration period, std::function<void()> work) -> Status {
        auto id = loop_->every(period, std::move(work));
        return id ? Status{} : Status{id.error()};
    };
    if (Status status = every(neighbor_period, [this] { refresh_neighbors(); }); !status) return status;
    if (Status status = every(tend_period, [this] { confinement_.log_refusals(); }); !status) return status;
    if (!tiers_->is_open()) return {};
    if (Status status = every(tend_period, [this] { tend(); }); !status) return status;
    if (Status status = every(sweep_period, [this] { sweep(); }); !status) return status;
    if (tiers_->xdp() == nullptr) return {};
    auto reader = TraceReader::open(tiers_->xdp()->maps(),
                                    [this](const trace_event& event) { trace_log_.add(event, *naming_); });
    if (!reader) return reader.error();
    trace_reader_ = std::move(*reader);
    auto id = loop_->watch(trace_reader_->descriptor(), EPOLLIN, [this](std::uint32_t) {
        if (auto count = trace_reader_->drain(); !count) spdlog::debug("{}", count.error().message);
    });
    return id ? Status{} : Status{id.error()};
}

Status Daemon::serve() {
    auto api = api::Server::start(config_.control.socket, *this);
    if (!api) return api.error();
    api_ = std::move(*api);
    auto metrics = metrics::serve(config_.metrics.listen, *this);
    if (!metrics) return metrics.error();
    metrics_ = std::move(*metrics);
    auto diagnostics = serve_diagnostics(config_.diagnostics.listen, [this] { return running_proxy(); });
    if (diagnostics)
        diagnostics_ = std::move(*diagnostics);
    else
        spdlog::warn("{}", diagnostics.error().message);
    for (const auto& [name, plan] : plans_) {
        for (const api::TierReport& tier : tiers_->tier_reports(plan)) {
            spdlog::info("interface {}: {} {} {}{}{} (switch: {})", name, tier.tier,
                         tier.active ? "active" : "off", tier.mode, tier.reason.empty() ? "" : ": ",
                         tier.reason, tier.decided);
        }
    }
    return {};
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
    spdlog::info("draining: {} proxied connections are open", proxy_.proxy()->connections());
    auto id = loop_->every(drain_period, [this] {
        if (proxy_.done() || std::chrono::steady_clock::now() >= *drain_until_) stop();
    });
    if (!id) stop();
}

std::shared_ptr<const proxy::Proxy> Daemon::running_proxy() {
    auto proxy = on_loop<std::shared_ptr<const proxy::Proxy>>([this] { return proxy_.proxy(); }, patience);
    return proxy ? *proxy : nullptr;
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
    std::error_code ignored;
    if (!std::filesystem::exists(config->state.bpffs, ignored)) return {};
    const MapSizes sizes = MapSizes::rounded(config->tables.flows, config->tables.sources,
                                             config->tables.backends, POLICY_MAX_WORDS * 64);
    auto xdp = XdpDataplane::open({config->state.bpffs, sizes, false});
    if (!xdp) return xdp.error();
    return (*xdp)->detach_all();
}

void Daemon::tend() {
    if (!tiers_->tend(config_, plans_)) return;
    ports_ = current_ports(config_, plans_, numbers_);
    Status status = tiers_->set_ports(ports_);
    if (status) status = tiers_->bring_up(config_, plans_, ports_);
    if (!status) spdlog::error("{}", status.error().message);
}

void Daemon::sweep() {
    const u32 capacity = tiers_->node().flow_capacity;
    sweeper_->step(std::max(capacity / sweeps_per_round, least_slots_per_sweep), ticks_now());
}

// XDP and workers send past the kernel's stack, which therefore neither resolves nor confirms what they use:
// it is asked to for every backend that is not known, or was not confirmed for a while.
void Daemon::refresh_neighbors() {
    for (const config::Service& service : config_.services) {
        for (const config::Backend& backend : service.backends) {
            const struct address to = compile::to_address(backend.address);
            const netlink::RouteAnswer answer = mirror_->view().resolve(to, 0);
            if (answer.reach == netlink::Reach::no_route) continue;
            const netlink::Neighbor* known = mirror_->view().neighbor(answer.ifindex, answer.next_hop);
            if (known == nullptr || known->stale) mirror_->solicit(answer.ifindex, answer.next_hop);
        }
    }
}

Result<api::Report> Daemon::report() {
    return on_loop<api::Report>([this] { return report_now(); }, patience);
}

Result<api::FlowPage> Daemon::flows(const api::FlowRequest& request) {
    struct View {
        struct tables tables;
        std::shared_ptr<const Naming> naming;
    };
    // The table is read on the caller's thread: neither the control thread nor a worker waits for a long
    // list.
    Result<std::optional<View>> view = on_loop<std::optional<View>>(
        [this]() -> std::optional<View> {
            if (!tiers_->is_open()) return std::nullopt;
            View view{{}, naming_};
            tiers_->tables().fill(view.tables);
            return view;
        },
        patience);
    if (!view) return view.error();
    if (!*view) return api::FlowPage{};
    return list_flows((*view)->tables, *(*view)->naming, request, ticks_now());
}

Status Daemon::reload() {
    Result<Status> status = on_loop<Status>([this] { return reload_now(); }, reload_patience);
    return status ? *status : Status{status.error()};
}

Status Daemon::set_tier(const std::string& interface, const std::string& tier) {
    Result<Status> status =
        on_loop<Status>([this, interface, tier] { return set_tier_now(interface, tier); }, reload_patience);
    return status ? *status : Status{status.error()};
}

Status Daemon::set_trace(u32 every) {
    Result<Status> status = on_loop<Status>(
        [this, every]() -> Status {
            if (tiers_->xdp() == nullptr)
                return make_error("no interface has the XDP program: there is nothing to sample");
            trace_log_.clear();
            tiers_->node().trace_every = every;
            return {};
        },
        patience);
    return status ? *status : Status{status.error()};
}

Result<std::vector<api::TraceReport>> Daemon::trace() {
    return on_loop<std::vector<api::TraceReport>>([this] { return trace_log_.events(); }, patience);
}

Status Daemon::set_log_level(const std::string& level) {
    Result<Status> status = on_loop<Status>([level] { return log_set_level(level); }, patience);
    return status ? *status : Status{status.error()};
}

}  // namespace sluice::control
