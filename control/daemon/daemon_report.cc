// SPDX-License-Identifier: Apache-2.0
//
// What the daemon knows of itself, as one report.
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "control/daemon/counter_sums.h"
#include "control/daemon/daemon.h"
#include "control/daemon/words.h"
#include "dataplane/base/log.h"
#include "dataplane/proxy/proxy.h"

namespace sluice::control {

namespace {

bool run_statistics_are_on() {
    std::ifstream file("/proc/sys/kernel/bpf_stats_enabled");
    int on = 0;
    return file >> on && on == 1;
}

// The tier has two parts: packet sockets, which TIER tells of, and the proxy, whose sockets are the node's.
void add_proxy(const api::TierReport& proxy, api::TierReport& tier) {
    if (!proxy.active && tier.reason.empty() && !tier.active) tier.reason = proxy.reason;
    if (!proxy.active) return;
    const auto join = [](const std::string& one, const std::string& other, const char* between) {
        return one + (one.empty() || other.empty() ? "" : between) + other;
    };
    tier.mode = join(tier.mode, proxy.mode, "; ");
    tier.reason = tier.active ? join(tier.reason, proxy.reason, "; ") : proxy.reason;
    tier.active = true;
}

}  // namespace

std::vector<backend_counters> Daemon::raw_backend_counters() const {
    std::vector<backend_counters> counters(naming_->identities.backends.bound());
    if (!tiers_->is_open() || counters.empty()) return counters;
    if (tiers_->xdp() != nullptr) {
        auto read = read_backend_counters(tiers_->xdp()->maps(), static_cast<u32>(counters.size()));
        if (read) counters = std::move(*read);
    }
    tiers_->pool_history().add_to(tiers_->pool(), counters);
    tiers_->dpdk().add_to(counters);
    tiers_->packets().add_to(counters);
    return counters;
}

std::vector<pair_counters> Daemon::raw_rule_counters() const {
    std::vector<pair_counters> counters(naming_->identities.rules.bound());
    if (!tiers_->is_open() || counters.empty()) return counters;
    if (tiers_->xdp() != nullptr) {
        auto read = read_rule_counters(tiers_->xdp()->maps(), static_cast<u32>(counters.size()));
        if (read) counters = std::move(*read);
    }
    tiers_->pool_history().add_to(tiers_->pool(), counters);
    tiers_->dpdk().add_to(counters);
    tiers_->packets().add_to(counters);
    if (proxy_.proxy()) proxy_.proxy()->add_rules(counters);
    return counters;
}

void Daemon::report_interfaces(api::Report& report) const {
    for (const PortSetting& port : ports_) {
        api::InterfaceReport interface;
        interface.name = port.name;
        interface.port = port.number;
        interface.ifindex = port.present ? port.port.ifindex : 0;
        interface.vlan = port.port.vlan;
        interface.mtu = port.port.mtu;
        interface.up = port.up;
        config::MacAddress mac;
        std::copy(std::begin(port.port.mac), std::end(port.port.mac), mac.bytes.begin());
        if (port.present) interface.mac = mac.text();
        for (const config::InterfaceAddress& own : port.addresses) interface.addresses.push_back(own.text());
        if (port.name == port.device) {
            interface.tiers = tiers_->tier_reports(plans_.at(port.name));
            for (api::TierReport& tier : interface.tiers) {
                if (tier.tier == tier_name(config::Tier::epoll)) add_proxy(proxy_.tier_report(), tier);
            }
            if (port.present)
                interface.queues = tiers_->pool_history().queue_reports(tiers_->pool(), port.name);
            interface.dpdk = tiers_->dpdk().device_report(port.name);
            interface.packets = tiers_->packets().device_report(port.name);
            if (interface.dpdk) interface.up = interface.dpdk->link.up;
        }
        report.interfaces.push_back(std::move(interface));
    }
}

void Daemon::report_traffic(api::Report& report) const {
    if (!tiers_->is_open()) return;
    const auto add_tier = [&](const char* tier, const std::vector<port_counters>& counters) {
        for (const auto& [number, name] : naming_->ports)
            report.traffic.push_back({name, tier, counters[number]});
        report.traffic.push_back({"none", tier, counters[0]});
    };
    if (tiers_->xdp() != nullptr) {
        if (const auto counters = read_port_counters(tiers_->xdp()->maps())) add_tier("xdp", *counters);
    }
    if (tiers_->pool() != nullptr || !tiers_->pool_history().empty())
        add_tier("af_xdp", tiers_->pool_history().ports(tiers_->pool()));
    if (tiers_->dpdk().has_run()) add_tier("dpdk", tiers_->dpdk().ports());
    if (tiers_->packets().has_run()) add_tier("epoll", tiers_->packets().ports());
}

void Daemon::report_services(api::Report& report) const {
    const std::vector<backend_counters> backends = raw_backend_counters();
    for (const config::Service& service : config_.services) {
        api::ServiceReport out;
        out.name = service.name;
        out.vip = service.vip.is_host() ? service.vip.address.text() : service.vip.text();
        out.protocol = word(service.protocol);
        out.ports = ports_text(service.ports);
        out.mode = word(service.mode);
        out.tier = service.mode == config::Mode::proxy ? "epoll"
                   : service.tier                      ? tier_name(*service.tier)
                                                       : "auto";
        for (const config::Backend& backend : service.backends) {
            const compile::BackendKey key = compile::key_of(service, backend);
            const u32 id = naming_->identities.backends.at(key);
            out.backends.push_back(
                {key.text(), word(backend.state), backend.weight, backend_book_.of(id, backends), "", false});
            backend_states_->describe(key, backend.state, out.backends.back());
        }
        report.services.push_back(std::move(out));
    }
    const std::vector<pair_counters> rules = raw_rule_counters();
    report.default_action = config_.policy.default_action == config::DefaultAction::allow ? "allow" : "drop";
    for (const config::Rule& rule : config_.policy.rules) {
        const u32 id = naming_->identities.rules.at(rule.name);
        report.rules.push_back({rule.name, word(rule.action), rule.dry_run, rule_book_.of(id, rules),
                                tiers_->evaluation().report(rule.name)});
    }
}

void Daemon::report_flows(api::Report& report) const {
    if (!tiers_->is_open()) return;
    api::FlowTableReport& flows = report.flows;
    flows.capacity = tiers_->node().flow_capacity;
    flows.live = sweeper_->census().live;
    flows.aliases = sweeper_->census().aliases;
    flows.expired = sweeper_->expired();
    flows.repaired = sweeper_->repaired();
    report.evaluator = tiers_->evaluation().report();
    add_worker(flows.counters, tiers_->pool_history().counters(tiers_->pool()));
    for (const worker_counters& worker : tiers_->dpdk().counters()) add_worker(flows.counters, worker);
    for (const worker_counters& worker : tiers_->packets().counters()) add_worker(flows.counters, worker);
    report.trace_every = tiers_->node().trace_every;
    if (tiers_->xdp() == nullptr) return;
    if (const auto counters = read_cpu_counters(tiers_->xdp()->maps())) add_worker(flows.counters, *counters);
    report.adoption = tiers_->xdp()->maps().adoption_note();
    if (run_statistics_are_on()) report.run = tiers_->xdp()->attacher().run_statistics();
}

api::Report Daemon::report_now() {
    api::Report report;
    report.version = SLUICE_VERSION;
    report.pid = getpid();
    report.uptime = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    for (const auto& [name, plan] : plans_) {
        if (report.not_ready.empty()) report.not_ready = tiers_->unserved(plan);
    }
    if (drain_until_) report.not_ready = "draining";
    report.ready = report.not_ready.empty();
    report.config = config_report_;
    report.config.file = options_.file;
    report.config.generation = generation_;
    report.config.compile_ms = built_.milliseconds;
    report.config.image_bytes = built_.bytes;
    report_interfaces(report);
    report_traffic(report);
    report_services(report);
    report_flows(report);
    report.workers = tiers_->pool_history().worker_reports(tiers_->pool());
    for (const api::WorkerReport& each :
         tiers_->dpdk().worker_reports(static_cast<u32>(report.workers.size())))
        report.workers.push_back(each);
    for (const api::WorkerReport& each :
         tiers_->packets().worker_reports(static_cast<u32>(report.workers.size())))
        report.workers.push_back(each);
    const auto add_placement = [&](const Placement& placement) {
        report.placement.numa = placement.plan.numa;
        report.placement.reason = placement.plan.numa_reason;
        for (const std::string& line : placement.lines()) {
            const auto& told = report.placement.lines;
            if (std::find(told.begin(), told.end(), line) == told.end())
                report.placement.lines.push_back(line);
        }
    };
    if (tiers_->pool() != nullptr) add_placement(tiers_->pool()->placement());
    if (const Placement* dpdk = tiers_->dpdk().placement()) add_placement(*dpdk);
    if (const Placement* packets = tiers_->packets().placement()) add_placement(*packets);
    report.no_workers = report.workers.empty() ? tiers_->no_workers() : "";
    const netlink::MirrorCounters& kernel = mirror_->counters();
    report.proxy = proxy_.report();
    const capture::Totals captures = captures_->totals();
    report.capture = {captures.running, captures.packets, captures.lost};
    report.confinement = confinement_.report();
    report.kernel = {kernel.changes, kernel.overruns, kernel.neighbor_requests, kernel.neighbor_failures,
                     kernel.neighbor_requests_lost};
    return report;
}

}  // namespace sluice::control
