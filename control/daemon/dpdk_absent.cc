// SPDX-License-Identifier: Apache-2.0
// DpdkTier of a build without libdpdk.
#include "control/daemon/dpdk_tier.h"

namespace sluice::control {

namespace {

constexpr const char* absent = "this build is without DPDK (libdpdk was not found, or -Ddpdk=disabled)";

}  // namespace

struct DpdkTier::State {
    std::map<std::string, std::string> refused;
};

DpdkTier::DpdkTier(netlink::KernelMirror&, const NodePlacement&, std::function<void()>)
    : state_(std::make_unique<State>()) {}
DpdkTier::~DpdkTier() = default;

void DpdkTier::set_devices(const config::Config&, const Plans& plans) {
    state_->refused.clear();
    for (const auto& [name, plan] : plans) {
        if (plan.dpdk) state_->refused[name] = absent;
    }
}

bool DpdkTier::serves(const std::string&) const { return false; }
bool DpdkTier::would_open(const config::Interface&) const { return false; }
void DpdkTier::forget_refusal(const std::string&) {}

std::string DpdkTier::refusal(const std::string& interface) const {
    const auto at = state_->refused.find(interface);
    return at == state_->refused.end() ? "" : at->second;
}

api::TierReport DpdkTier::tier_report(const std::string& interface) const {
    api::TierReport report;
    report.reason = refusal(interface);
    return report;
}

bool DpdkTier::behind_program(const std::string&) const { return false; }
std::vector<int> DpdkTier::sockets(const std::string&) const { return {}; }
std::vector<netlink::Link> DpdkTier::links() const { return {}; }
bool DpdkTier::tend(const config::Config&, const Plans&) { return false; }
Status DpdkTier::start_workers(NodeTables&, const DpdkWorkers&) { return {}; }
void DpdkTier::stop_workers() {}
void DpdkTier::set_image(const Image&) {}
std::vector<port_counters> DpdkTier::ports() const { return std::vector<port_counters>(NODE_PORTS); }
void DpdkTier::add_to(std::vector<backend_counters>&) const {}
void DpdkTier::add_to(std::vector<pair_counters>&) const {}
std::vector<worker_counters> DpdkTier::counters() const { return {}; }
std::vector<api::WorkerReport> DpdkTier::worker_reports(u32) const { return {}; }
std::optional<api::DpdkReport> DpdkTier::device_report(const std::string&) const { return std::nullopt; }
bool DpdkTier::running() const { return false; }
bool DpdkTier::has_run() const { return false; }
const Placement* DpdkTier::placement() const { return nullptr; }

}  // namespace sluice::control
