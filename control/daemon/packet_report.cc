// SPDX-License-Identifier: Apache-2.0
//
// What the packet tier tells about itself.
#include "control/daemon/packet_member.h"
#include "control/daemon/worker_report.h"

namespace sluice::control {

bool PacketTier::serves(const std::string& interface) const { return running() && open_.contains(interface); }

std::string PacketTier::refusal(const std::string& interface) const {
    const auto at = refused_.find(interface);
    return at == refused_.end() ? "" : at->second.why;
}

std::vector<port_counters> PacketTier::ports() const {
    std::vector<port_counters> sum = past_.ports;
    for (const auto& member : members_) add_ports(sum, member->counters.ports());
    return sum;
}

void PacketTier::add_to(std::vector<backend_counters>& counters) const {
    add_all(counters, std::span<const backend_counters>(past_.backends));
    for (const auto& member : members_) add_all(counters, member->counters.backends());
}

void PacketTier::add_to(std::vector<pair_counters>& counters) const {
    add_all(counters, std::span<const pair_counters>(past_.rules));
    for (const auto& member : members_) add_all(counters, member->counters.rules());
}

std::vector<worker_counters> PacketTier::counters() const {
    std::vector<worker_counters> all = {past_.workers};
    for (const auto& member : members_) all.push_back(member->counters.worker());
    return all;
}

std::vector<api::WorkerReport> PacketTier::worker_reports(u32 first) const {
    std::vector<api::WorkerReport> reports;
    for (const auto& member : members_) {
        api::WorkerReport report =
            report_of(member->worker->statistics(), member->place, fmt::format("sluice-p{}", reports.size()));
        report.id = first + static_cast<u32>(reports.size());
        report.pages = page_kind_name(member->buffers->pages());
        reports.push_back(report);
    }
    return reports;
}

std::optional<api::PacketReport> PacketTier::device_report(const std::string& interface) const {
    const auto past = past_rings_.find(interface);
    const auto at = open_.find(interface);
    if (at == open_.end() && past == past_rings_.end()) return std::nullopt;
    api::PacketReport report;
    if (past != past_rings_.end()) report.statistics = past->second;
    if (at == open_.end()) return report;
    const Open& each = at->second;
    report.rings = static_cast<u32>(each.rings.size());
    for (const auto& ring : each.rings) report.statistics += ring->statistics();
    report.host_path = each.host->name();
    report.host_delivered = each.host->delivered();
    report.host_refused = each.host->refused();
    return report;
}

api::TierReport PacketTier::tier_report(const std::string& interface) const {
    api::TierReport report;
    report.active = serves(interface);
    if (report.active)
        report.mode = "packet sockets";
    else
        report.reason = refusal(interface);
    return report;
}

}  // namespace sluice::control
