// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

#include "control/api/model.h"

namespace sluice::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

// One sample of a histogram family.
prometheus::ClientMetric histogram_of(const Labels& labels, const api::HistogramReport& from);

// One family, filled sample by sample.
class FamilyBuilder {
public:
    FamilyBuilder(std::string name, std::string help, prometheus::MetricType type) {
        family_.name = std::move(name);
        family_.help = std::move(help);
        family_.type = type;
    }

    static FamilyBuilder counter(std::string name, std::string help) {
        return {std::move(name), std::move(help), prometheus::MetricType::Counter};
    }
    static FamilyBuilder gauge(std::string name, std::string help) {
        return {std::move(name), std::move(help), prometheus::MetricType::Gauge};
    }

    void reserve(size_t samples) { family_.metric.reserve(samples); }

    template <typename Number>
    void add(const Labels& labels, Number value) {
        prometheus::ClientMetric& metric = family_.metric.emplace_back();
        metric.label.reserve(labels.size());
        for (const auto& [name, text] : labels) metric.label.push_back({name, text});
        metric.counter.value = static_cast<double>(value);
        metric.gauge.value = static_cast<double>(value);
    }

    prometheus::MetricFamily take() { return std::move(family_); }

private:
    prometheus::MetricFamily family_;
};

}  // namespace sluice::metrics
