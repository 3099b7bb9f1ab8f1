// SPDX-License-Identifier: Apache-2.0
//
// The metrics of docs/metrics.md out of a report: read when scraped, so nothing grows by scraping.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "control/api/model.h"

namespace sluice::metrics {

std::vector<prometheus::MetricFamily> families(const api::Report& report);

// Of evaluate rules, and who decides for them.
void evaluation_families(const api::Report& report, std::vector<prometheus::MetricFamily>& out);

// Of the epoll tier.
void proxy_families(const api::ProxyReport& proxy, std::vector<prometheus::MetricFamily>& out);

// Of backends that are probed or drained.
void health_families(const api::Report& report, std::vector<prometheus::MetricFamily>& out);

void capture_families(const api::CaptureReport& capture, std::vector<prometheus::MetricFamily>& out);
void confinement_families(const api::ConfinementReport& confinement,
                          std::vector<prometheus::MetricFamily>& out);

// Of this process, out of /proc: memory, processor time, descriptors, start.
std::vector<prometheus::MetricFamily> process_families();

// Both in Prometheus' text format, version 0.0.4.
std::string text(const api::Report& report);

}  // namespace sluice::metrics
