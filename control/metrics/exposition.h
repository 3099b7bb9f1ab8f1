// SPDX-License-Identifier: Apache-2.0
//
// Prometheus' text format, version 0.0.4. The library's own serializer writes through a stream, at twice the
// time for what a node with 10,000 backends has to tell.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

namespace sluice::metrics {

// Counters, gauges and histograms.
std::string exposition(const std::vector<prometheus::MetricFamily>& families);

}  // namespace sluice::metrics
