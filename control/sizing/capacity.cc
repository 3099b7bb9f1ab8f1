// SPDX-License-Identifier: Apache-2.0
#include "control/sizing/capacity.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

namespace sluice::control {

namespace {

constexpr double most_nodes = 1e6;
constexpr u32 most_spare = 10'000;

Status check(const CapacityQuestion& q) {
    if (!(q.peak_bits > 0 && std::isfinite(q.peak_bits)))
        return make_error("the peak: expected more than 0 bit/s, and finite");
    if (!(q.packet_bytes >= 64 && q.packet_bytes <= 65535))
        return make_error("bytes per packet {}: expected 64 to 65535", q.packet_bytes);
    if (!(q.node_packets > 0 && std::isfinite(q.node_packets)))
        return make_error("packets per second of a core: expected more than 0, and finite");
    if (q.cores == 0) return make_error("cores: expected 1 or more");
    if (!(q.scaling > 0 && q.scaling <= 1))
        return make_error("scaling {}: expected more than 0, at most 1", q.scaling);
    if (!(q.load > 0 && q.load <= 1)) return make_error("load {}: expected more than 0, at most 1", q.load);
    if (q.spare > most_spare) return make_error("spare {}: expected {} at most", q.spare, most_spare);
    if (q.node_bits && !(*q.node_bits > 0)) return make_error("a node's links: expected more than 0 bit/s");
    return {};
}

}  // namespace

Result<CapacityAnswer> capacity_of(const CapacityQuestion& q) {
    if (Status status = check(q); !status) return status.error();
    CapacityAnswer answer;
    answer.peak_packets = q.peak_bits / 8 / q.packet_bytes;
    const double by_cores = q.node_packets * (1 + (q.cores - 1) * q.scaling);
    const double by_links = q.node_bits ? *q.node_bits / 8 / q.packet_bytes : by_cores;
    answer.links_bound = by_links < by_cores;
    answer.node_packets = std::min(by_cores, by_links) * q.load;
    const double needed = std::ceil(answer.peak_packets / answer.node_packets);
    if (!(needed <= most_nodes))
        return make_error("{} nodes: expected figures of one node that fit the peak", needed);
    answer.needed = static_cast<u64>(needed);
    answer.nodes = answer.needed + q.spare;
    const double whole = answer.node_packets / q.load;
    answer.load_when_well = answer.peak_packets / (whole * static_cast<double>(answer.nodes));
    answer.load_when_failed = answer.peak_packets / (whole * static_cast<double>(answer.needed));
    return answer;
}

Result<double> quantity_of(const std::string& text) {
    constexpr std::string_view units = "kMGT";
    const Error wrong = make_error("{}: expected a number, with k, M, G or T for thousands", text);
    const size_t unit = text.empty() ? std::string_view::npos : units.find(text.back());
    const size_t digits = text.size() - (unit == std::string_view::npos ? 0 : 1);
    double value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + digits, value);
    if (code != std::errc{} || end != text.data() + digits || !(value >= 0) || !std::isfinite(value))
        return wrong;
    if (unit != std::string_view::npos) value *= std::pow(1000.0, static_cast<double>(unit + 1));
    return std::isfinite(value) ? Result<double>(value) : wrong;
}

}  // namespace sluice::control
