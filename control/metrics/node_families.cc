// SPDX-License-Identifier: Apache-2.0
//
// What an operator has switched on, and what the daemon may do.
#include "control/metrics/families.h"
#include "control/metrics/family_builder.h"

namespace sluice::metrics {

void capture_families(const api::CaptureReport& capture, std::vector<prometheus::MetricFamily>& out) {
    auto running = FamilyBuilder::gauge("sluice_captures", "Captures that run.");
    auto packets =
        FamilyBuilder::counter("sluice_capture_packets_total", "Packets captured, for all captures.");
    auto lost = FamilyBuilder::counter("sluice_capture_lost_total", "Packets that found no room on the way.");
    running.add({}, capture.running);
    packets.add({}, static_cast<double>(capture.packets));
    lost.add({}, static_cast<double>(capture.lost));
    for (FamilyBuilder* each : {&running, &packets, &lost}) out.push_back(each->take());
}

void confinement_families(const api::ConfinementReport& confinement,
                          std::vector<prometheus::MetricFamily>& out) {
    auto held = FamilyBuilder::gauge("sluice_capability_held", "1 for each capability that the daemon has.");
    for (const std::string& name : confinement.capabilities) held.add({{"capability", name}}, 1);
    out.push_back(held.take());
    auto filtered = FamilyBuilder::gauge("sluice_system_calls_filtered",
                                         "Whether the daemon's system calls are filtered.");
    filtered.add({}, confinement.filtered ? 1 : 0);
    out.push_back(filtered.take());
}

}  // namespace sluice::metrics
