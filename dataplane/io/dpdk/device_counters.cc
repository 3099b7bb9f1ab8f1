// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/device_counters.h"

#include <rte_ethdev.h>

#include "dataplane/base/clock.h"

namespace sluice {
namespace {

struct Column {
    u64 DpdkDeviceStatistics::*to;
    u64 rte_eth_stats::*from;
    u64 LinkCapacity::*most;
};

constexpr Column columns[] = {
    {&DpdkDeviceStatistics::received, &rte_eth_stats::ipackets, &LinkCapacity::packets},
    {&DpdkDeviceStatistics::received_bytes, &rte_eth_stats::ibytes, &LinkCapacity::bytes},
    {&DpdkDeviceStatistics::sent, &rte_eth_stats::opackets, &LinkCapacity::packets},
    {&DpdkDeviceStatistics::sent_bytes, &rte_eth_stats::obytes, &LinkCapacity::bytes},
    {&DpdkDeviceStatistics::missed, &rte_eth_stats::imissed, &LinkCapacity::packets},
    {&DpdkDeviceStatistics::receive_errors, &rte_eth_stats::ierrors, &LinkCapacity::packets},
    {&DpdkDeviceStatistics::no_buffer, &rte_eth_stats::rx_nombuf, &LinkCapacity::packets},
    {&DpdkDeviceStatistics::transmit_errors, &rte_eth_stats::oerrors, &LinkCapacity::packets},
};

}  // namespace

void DeviceCounters::open(u16 port, bool in_registers) {
    port_ = port;
    in_registers_ = in_registers;
    basic_.assign(std::size(columns), PlausibleCounter());
    extended_.clear();
    basic_at_ = extended_at_ = 0;
    basic(0);
    extended(0);
}

// Before the first reading, anything may have been counted.
LinkCapacity DeviceCounters::since(u64& last, u32 mbps) {
    constexpr u32 fastest_mbps = 400'000;
    if (mbps != 0) mbps_ = mbps;
    const u64 now = monotonic_ns();
    const u64 before = last;
    last = now;
    if (!in_registers_ || before == 0) return {};
    return LinkCapacity::of(mbps_ != 0 ? mbps_ : fastest_mbps, now - before);
}

DpdkDeviceStatistics DeviceCounters::basic(u32 mbps) {
    rte_eth_stats stats{};
    const bool read = rte_eth_stats_get(port_, &stats) == 0;
    const LinkCapacity most = read ? since(basic_at_, mbps) : LinkCapacity{};
    DpdkDeviceStatistics result;
    for (size_t i = 0; i < basic_.size(); ++i) {
        const Column& column = columns[i];
        result.*column.to = read ? basic_[i].take(stats.*column.from, most.*column.most) : basic_[i].value();
    }
    return result;
}

DeviceCounters::Named DeviceCounters::extended(u32 mbps) {
    Named result;
    const int count = rte_eth_xstats_get_names(port_, nullptr, 0);
    if (count <= 0) return result;
    const auto size = static_cast<unsigned>(count);
    std::vector<rte_eth_xstat_name> names(size);
    std::vector<rte_eth_xstat> values(size);
    if (rte_eth_xstats_get_names(port_, names.data(), size) != count) return result;
    if (rte_eth_xstats_get(port_, values.data(), size) != count) return result;
    const LinkCapacity most = since(extended_at_, mbps);
    for (const rte_eth_xstat& each : values) {
        if (each.id >= size) continue;
        const std::string name = names[each.id].name;
        auto& counter = extended_.try_emplace(name, PlausibleCounter::Fall::value).first->second;
        result.emplace_back(name, counter.take(each.value, most.of(name)));
    }
    return result;
}

}  // namespace sluice
