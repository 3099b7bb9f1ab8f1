// SPDX-License-Identifier: Apache-2.0
#include "control/metrics/exposition.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

namespace sluice::metrics {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr size_t line_guess = 112;                 // bytes
constexpr double most_whole = 9007199254740992.0;  // 2^53: up to here whole numbers are exact

void add_number(std::string& out, double value) {
    char digits[32];
    if (std::isnan(value)) {
        out += "NaN";
    } else if (std::isinf(value)) {
        out += value > 0 ? "+Inf" : "-Inf";
    } else if (value == std::floor(value) && std::fabs(value) < most_whole) {
        const auto end = std::to_chars(digits, digits + sizeof digits, static_cast<long long>(value)).ptr;
        out.append(digits, end);
    } else {
        const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
        out.append(digits, end);
    }
}

// `special`: what is written with a backslash, besides line feeds.
void add_escaped(std::string& out, std::string_view text, std::string_view special) {
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
            continue;
        }
        if (special.find(c) != std::string_view::npos) out += '\\';
        out += c;
    }
}

void add_label(std::string& out, std::string_view name, std::string_view text) {
    out += name;
    out += "=\"";
    if (text.find_first_of("\\\"\n") == std::string_view::npos)
        out += text;
    else
        add_escaped(out, text, "\\\"");
    out += '"';
}

void add_sample(std::string& out, const std::string& name, const char* suffix, const ClientMetric& metric,
                double value, const std::string& bound = "") {
    out += name;
    out += suffix;
    char before = '{';
    const auto label = [&](std::string_view key, std::string_view text) {
        out += before;
        before = ',';
        add_label(out, key, text);
    };
    for (const ClientMetric::Label& each : metric.label) label(each.name, each.value);
    if (!bound.empty()) label("le", bound);
    if (before == ',') out += '}';
    out += ' ';
    add_number(out, value);
    out += '\n';
}

void add_histogram(std::string& out, const std::string& name, const ClientMetric& metric) {
    const auto count = static_cast<double>(metric.histogram.sample_count);
    double last = 0;
    for (const ClientMetric::Bucket& bucket : metric.histogram.bucket) {
        std::string bound;
        add_number(bound, bucket.upper_bound);
        add_sample(out, name, "_bucket", metric, static_cast<double>(bucket.cumulative_count), bound);
        last = bucket.upper_bound;
    }
    if (!std::isinf(last)) add_sample(out, name, "_bucket", metric, count, "+Inf");
    add_sample(out, name, "_sum", metric, metric.histogram.sample_sum);
    add_sample(out, name, "_count", metric, count);
}

const char* type_name(MetricType type) {
    switch (type) {
        case MetricType::Counter: return "counter";
        case MetricType::Gauge: return "gauge";
        case MetricType::Histogram: return "histogram";
        default: return "untyped";
    }
}

void add_family(std::string& out, const MetricFamily& family) {
    if (!family.help.empty()) {
        out += "# HELP " + family.name + " ";
        add_escaped(out, family.help, "\\");
        out += '\n';
    }
    out += "# TYPE " + family.name + " " + type_name(family.type) + "\n";
    for (const ClientMetric& metric : family.metric) {
        if (family.type == MetricType::Histogram)
            add_histogram(out, family.name, metric);
        else
            add_sample(out, family.name, "", metric,
                       family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value);
    }
}

}  // namespace

std::string exposition(const std::vector<MetricFamily>& families) {
    size_t lines = 0;
    for (const MetricFamily& family : families) lines += family.metric.size() + 2;
    std::string out;
    out.reserve(lines * line_guess);
    for (const MetricFamily& family : families) add_family(out, family);
    return out;
}

}  // namespace sluice::metrics
