// SPDX-License-Identifier: Apache-2.0
#include "control/metrics/dpdk_families.h"

#include <algorithm>

#include "control/metrics/family_builder.h"

namespace sluice::metrics {

namespace {

using Families = std::vector<prometheus::MetricFamily>;

struct Column {
    const char* name;
    const char* help;
    u64 DpdkDeviceStatistics::*member;
};
constexpr Column columns[] = {
    {"sluice_dpdk_received_packets_total", "Packets that the device received.",
     &DpdkDeviceStatistics::received},
    {"sluice_dpdk_received_bytes_total", "Bytes of them.", &DpdkDeviceStatistics::received_bytes},
    {"sluice_dpdk_sent_packets_total", "Packets that the device sent.", &DpdkDeviceStatistics::sent},
    {"sluice_dpdk_sent_bytes_total", "Bytes of them.", &DpdkDeviceStatistics::sent_bytes},
    {"sluice_dpdk_missed_packets_total", "Packets lost for want of room in a receive ring (imissed).",
     &DpdkDeviceStatistics::missed},
    {"sluice_dpdk_no_buffer_packets_total", "Receptions that found the buffer pool dry (rx_nombuf).",
     &DpdkDeviceStatistics::no_buffer},
    {"sluice_dpdk_receive_errors_total", "Packets received with an error.",
     &DpdkDeviceStatistics::receive_errors},
    {"sluice_dpdk_transmit_errors_total", "Packets that could not be sent.",
     &DpdkDeviceStatistics::transmit_errors},
    {"sluice_dpdk_host_packets_total", "Packets of the host's stack on their way out.",
     &DpdkDeviceStatistics::host_frames},
};

// Frames that our side of the port lost or sent back, by why.
void refusals(const api::DpdkReport& port, const std::string& interface, FamilyBuilder& family) {
    const std::pair<const char*, u64> reasons[] = {{"oversize", port.ports.oversize},
                                                   {"no_buffer", port.ports.no_buffer},
                                                   {"transmit_full", port.ports.transmit_full},
                                                   {"inlet_full", port.statistics.inlet_full},
                                                   {"inlet_not_sent", port.ports.inlet_dropped},
                                                   {"host_no_buffer", port.statistics.host_no_buffer},
                                                   {"host_path_full", port.host_refused}};
    for (const auto& [reason, value] : reasons)
        family.add({{"interface", interface}, {"reason", reason}}, value);
}

}  // namespace

void add_dpdk(const api::Report& report, Families& out) {
    std::vector<const api::InterfaceReport*> ports;
    for (const api::InterfaceReport& interface : report.interfaces) {
        if (interface.dpdk) ports.push_back(&interface);
    }
    if (ports.empty()) return;
    for (const Column& column : columns) {
        auto family = FamilyBuilder::counter(column.name, column.help);
        for (const auto* port : ports)
            family.add({{"interface", port->name}}, port->dpdk->statistics.*column.member);
        out.push_back(family.take());
    }
    auto refused = FamilyBuilder::counter("sluice_dpdk_refused_packets_total",
                                          "Packets lost between device, engine and host path, by why.");
    auto handed = FamilyBuilder::counter("sluice_dpdk_handed_over_packets_total",
                                         "Packets sent by the worker of another transmit queue.");
    auto buffers = FamilyBuilder::gauge("sluice_dpdk_buffers", "Buffers of the device's pool.");
    auto in_use = FamilyBuilder::gauge("sluice_dpdk_buffers_in_use", "Of these, in rings or on the way.");
    auto memory = FamilyBuilder::gauge("sluice_dpdk_memory_ratio",
                                       "Share of the device's buffers on a memory node, measured.");
    auto up = FamilyBuilder::gauge("sluice_dpdk_link_up", "Whether the device has a link.");
    auto speed = FamilyBuilder::gauge("sluice_dpdk_link_bits_per_second", "Its speed; 0: unknown.");
    auto extended = FamilyBuilder::gauge("sluice_dpdk_extended_statistic",
                                         "What the driver counts besides, by its own names.");
    for (const auto* port : ports) {
        const Labels labels = {{"interface", port->name}};
        const api::DpdkReport& dpdk = *port->dpdk;
        refusals(dpdk, port->name, refused);
        handed.add(labels, dpdk.ports.handed_over);
        buffers.add(labels, dpdk.statistics.buffers);
        in_use.add(labels, dpdk.statistics.buffers_in_use);
        for (size_t node = 0; node < dpdk.memory_percent.size(); ++node)
            memory.add({{"interface", port->name}, {"node", fmt::to_string(node)}},
                       dpdk.memory_percent[node] / 100.0);
        up.add(labels, dpdk.link.up ? 1 : 0);
        speed.add(labels, u64{dpdk.link.mbps} * 1'000'000);
        for (const auto& [name, value] : dpdk.extended)
            extended.add({{"interface", port->name}, {"statistic", name}}, value);
    }
    for (FamilyBuilder* family : {&refused, &handed, &buffers, &in_use, &memory, &up, &speed, &extended})
        out.push_back(family->take());
}

}  // namespace sluice::metrics
