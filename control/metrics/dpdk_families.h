// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "control/api/model.h"

namespace sluice::metrics {

// What DPDK ports add to the metrics; nothing where there is none.
void add_dpdk(const api::Report& report, std::vector<prometheus::MetricFamily>& out);

}  // namespace sluice::metrics
