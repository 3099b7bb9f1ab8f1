// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/trace_log.h"

#include "control/api/json.h"

namespace sluice::control {

void TraceLog::add(const trace_event& event, const Naming& naming) {
    const u32 verdict = verdict_of(event.word);
    const u32 detail = detail_of(event.word);
    api::TraceReport report;
    report.time = static_cast<double>(event.time) / 1e9;
    report.interface = naming.port(event.port);
    report.verdict = api::verdict_name(verdict);
    if (verdict == VERDICT_DROP) report.reason = api::reason_name(detail);
    if (verdict == VERDICT_PUNT) report.reason = api::punt_name(detail);
    report.service = naming.service(event.service);
    report.backend = naming.backend(event.backend);
    if (event.rule != 0) report.rule = naming.rule(event.rule);
    report.protocol = event.family == 0 ? "other" : protocol_name(event.protocol);
    if (event.family != 0) {
        report.source = endpoint_text(event.source, event.source_port);
        report.destination = endpoint_text(event.destination, event.destination_port);
    }
    report.length = event.length;
    if (events_.size() == most) events_.pop_front();
    events_.push_back(std::move(report));
}

}  // namespace sluice::control
