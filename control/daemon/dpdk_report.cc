// SPDX-License-Identifier: Apache-2.0
//
// What the DPDK tier tells about itself.
#include "control/daemon/counter_sums.h"
#include "control/daemon/dpdk_state.h"
#include "control/daemon/worker_report.h"
#include "dataplane/io/dpdk/eal.h"

namespace sluice::control {

bool DpdkTier::serves(const std::string& interface) const {
    const auto at = state_->devices.find(interface);
    return at != state_->devices.end() && at->second.device != nullptr;
}

std::string DpdkTier::refusal(const std::string& interface) const {
    const auto at = state_->devices.find(interface);
    return at == state_->devices.end() ? "" : at->second.refusal;
}

bool DpdkTier::behind_program(const std::string& interface) const {
    const auto at = state_->devices.find(interface);
    return at != state_->devices.end() && at->second.device && at->second.stand_in;
}

std::vector<int> DpdkTier::sockets(const std::string& interface) const {
    std::vector<int> found;
    if (!behind_program(interface)) return found;
    const DpdkDevice& device = *state_->devices.at(interface).device;
    for (u16 queue = 0; queue < device.rx_queues(); ++queue) found.push_back(device.xdp_socket(queue));
    return found;
}

std::vector<netlink::Link> DpdkTier::links() const {
    std::vector<netlink::Link> links;
    for (const auto& [name, each] : state_->devices) {
        if (!each.device || each.kernel_device || each.host) continue;
        netlink::Link link;
        link.ifindex = each.device->options().ifindex;
        link.name = name;
        std::copy_n(each.device->mac(), link.mac.size(), link.mac.begin());
        link.mtu = each.device->mtu();
        link.up = each.device->link().up;
        links.push_back(std::move(link));
    }
    return links;
}

bool DpdkTier::running() const { return !state_->members.empty(); }

bool DpdkTier::has_run() const { return running() || state_->past.any; }

const Placement* DpdkTier::placement() const { return running() ? &state_->placement : nullptr; }

std::vector<port_counters> DpdkTier::ports() const {
    std::vector<port_counters> sum = state_->past.ports;
    for (const auto& member : state_->members) control::add_ports(sum, member->counters.ports());
    return sum;
}

void DpdkTier::add_to(std::vector<backend_counters>& counters) const {
    add_all(counters, std::span<const backend_counters>(state_->past.backends));
    for (const auto& member : state_->members) add_all(counters, member->counters.backends());
}

void DpdkTier::add_to(std::vector<pair_counters>& counters) const {
    add_all(counters, std::span<const pair_counters>(state_->past.rules));
    for (const auto& member : state_->members) add_all(counters, member->counters.rules());
}

std::vector<worker_counters> DpdkTier::counters() const {
    std::vector<worker_counters> all = {state_->past.workers};
    for (const auto& member : state_->members) all.push_back(member->counters.worker());
    return all;
}

std::vector<api::WorkerReport> DpdkTier::worker_reports(u32 first) const {
    std::vector<api::WorkerReport> reports;
    for (const auto& member : state_->members) {
        api::WorkerReport report =
            report_of(member->worker->statistics(), member->place, fmt::format("sluice-d{}", reports.size()));
        report.id = first + static_cast<u32>(reports.size());
        reports.push_back(report);
    }
    return reports;
}

std::optional<api::DpdkReport> DpdkTier::device_report(const std::string& interface) const {
    const auto at = state_->devices.find(interface);
    if (at == state_->devices.end() || !at->second.device) return std::nullopt;
    const OpenDpdkDevice& each = at->second;
    api::DpdkReport report;
    report.device = each.device->options().device;
    report.driver = each.device->driver();
    report.rx_queues = each.device->rx_queues();
    report.tx_queues = each.device->tx_queues();
    report.symmetric_rss = each.device->symmetric_rss();
    report.link = each.device->link();
    report.statistics = each.device->statistics();
    report.extended = each.device->extended_statistics();
    report.memory_percent = percent_by_node(*each.device);
    report.pages = Eal::shortcoming().empty() ? "huge" : "normal";
    report.elsewhere = each.elsewhere;
    report.host_path = each.host ? each.host->name() : "";
    report.host_delivered = each.host ? each.host->delivered() : 0;
    report.host_refused = each.host ? each.host->refused() : 0;
    for (const auto& member : state_->members) {
        for (const auto& port : member->ports) {
            if (&port->device() == each.device.get()) report.ports += port->statistics();
        }
    }
    return report;
}

api::TierReport DpdkTier::tier_report(const std::string& interface) const {
    api::TierReport report;
    const auto at = state_->devices.find(interface);
    if (at == state_->devices.end()) {
        report.reason = "not brought up yet";
        return report;
    }
    const OpenDpdkDevice& each = at->second;
    report.active = each.device != nullptr && running();
    report.reason = each.refusal;
    if (!report.active) return report;
    report.mode = each.device->driver();
    if (!Eal::shortcoming().empty()) report.reason = Eal::shortcoming();
    const auto add = [&](const std::string& what) {
        report.reason += fmt::format("{}{}", report.reason.empty() ? "" : "; ", what);
    };
    if (!each.elsewhere.empty()) add(each.elsewhere);
    if (!each.host_refusal.empty()) add("host path: " + each.host_refusal);
    if (const std::string trouble = each.device->trouble(); !trouble.empty()) add(trouble);
    return report;
}

}  // namespace sluice::control
