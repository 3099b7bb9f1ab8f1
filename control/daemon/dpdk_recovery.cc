// SPDX-License-Identifier: Apache-2.0
//
// The part of the DPDK tier that looks after devices once a second.
#include <algorithm>
#include <chrono>
#include <thread>

#include "control/daemon/dpdk_state.h"
#include "dataplane/base/log.h"
#include "dataplane/io/dpdk/eal.h"

namespace sluice::control {

// A worker that has gone round twice since uses nothing that was suspended before. False: one has not within
// half a second.
bool DpdkTier::State::wait_for_workers() const {
    constexpr auto patience = std::chrono::milliseconds(500);
    const auto limit = std::chrono::steady_clock::now() + patience;
    for (const auto& member : members) {
        const u64 seen = member->worker->statistics().polls;
        while (member->worker->statistics().polls < seen + 2) {
            for (const auto& port : member->ports) port->rouse();
            if (std::chrono::steady_clock::now() >= limit) return false;
            std::this_thread::yield();
        }
    }
    return true;
}

// Whether it is time to start the device again. An attempt is given ever more time: on a busy machine a
// handshake takes longer than a second.
bool OpenDpdkDevice::is_due(const std::string& interface) {
    constexpr u32 longest_patience = 8;  // seconds
    const std::string why = device->interruption();
    if (why.empty()) {
        waited = 0;
        patience = 1;
        return false;
    }
    if (++waited < patience) return false;
    waited = 0;
    patience = std::min(2 * patience, longest_patience);
    if (device->ready()) spdlog::warn("interface {}: starts its device again: {}", interface, why);
    return true;
}

void DpdkTier::State::recover() {
    std::vector<DpdkDevice*> interrupted;
    for (auto& [name, each] : devices) {
        if (!each.device || !each.is_due(name)) continue;
        each.device->suspend();
        interrupted.push_back(each.device.get());
    }
    if (interrupted.empty() || !wait_for_workers()) return;
    for (DpdkDevice* device : interrupted) {
        if (device->resume()) spdlog::info("interface {}: device started again", device->options().interface);
    }
}

// Only what nothing else serves: a fallback is not taken off for it.
bool DpdkTier::tend(const config::Config& config, const Plans& plans) {
    constexpr u32 seconds_between_tries = 5;
    State& s = *state_;
    s.recover();
    for (const auto& [name, each] : s.devices) {
        if (each.device) each.device->sample();
    }
    if (!Eal::running() || ++s.seconds % seconds_between_tries != 0) return false;
    for (const config::Interface& interface : config.interfaces) {
        const auto known = s.devices.find(interface.name);
        if (known == s.devices.end() || known->second.device || plans.at(interface.name).program()) continue;
        const Eal::Quiet quiet;
        OpenDpdkDevice again = s.open(interface, s.expected_placement(config, plans), s.made_up());
        if (!again.device) continue;
        stop_workers();
        known->second = std::move(again);
        return true;
    }
    return false;
}

}  // namespace sluice::control
