// SPDX-License-Identifier: Apache-2.0
//
// From nothing to a node that forwards: what is opened, in which order, what an earlier daemon left and is
// adopted, and what is done again and again from then on.
#include <sys/epoll.h>

#include "control/compile/prefix.h"
#include "control/config/support.h"
#include "control/daemon/daemon.h"
#include "control/daemon/kept_names.h"
#include "control/daemon/nat_ports.h"
#include "control/daemon/ticks.h"
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

}  // namespace

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
    if (Status status = PacketTier::clean(); !status) spdlog::warn("{}", status.error().message);
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

}  // namespace sluice::control
