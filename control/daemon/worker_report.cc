// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/worker_report.h"

namespace sluice::control {

Polling polling_of(config::Poll poll) {
    switch (poll) {
        case config::Poll::adaptive: return Polling::adaptive;
        case config::Poll::busy: return Polling::busy;
        case config::Poll::interrupt: return Polling::interrupt;
    }
    return Polling::adaptive;
}

api::WorkerReport report_of(const WorkerStatistics& statistics, const WorkerPlacement& place,
                            std::string thread) {
    api::WorkerReport report;
    report.thread = std::move(thread);
    report.core = place.core;
    report.node = place.node;
    report.memory_node = place.memory_node;
    report.placement = place.reason;
    report.busy_ns = statistics.busy_ns;
    report.idle_ns = statistics.total_ns > statistics.busy_ns ? statistics.total_ns - statistics.busy_ns : 0;
    report.sleeps = statistics.sleeps;
    report.batches = statistics.batches;
    report.frames = statistics.frames;
    report.transmit_refused = statistics.transmit_refused;
    report.host_path_refused = statistics.host_path_refused;
    report.sent_elsewhere = statistics.sent_elsewhere;
    return report;
}

}  // namespace sluice::control
