// SPDX-License-Identifier: Apache-2.0
#include "control/metrics/families.h"

#include <fmt/format.h>

#include <iterator>

#include "control/api/json.h"
#include "control/metrics/dpdk_families.h"
#include "control/metrics/exposition.h"
#include "control/metrics/family_builder.h"

namespace sluice::metrics {

namespace {

using Families = std::vector<prometheus::MetricFamily>;
using api::Report;

void single(Families& out, FamilyBuilder builder, auto value) {
    builder.add({}, value);
    out.push_back(builder.take());
}

void traffic(const Report& report, Families& out) {
    auto received = FamilyBuilder::counter("sluice_received_packets_total", "Packets that a tier received.");
    auto received_bytes = FamilyBuilder::counter("sluice_received_bytes_total",
                                                 "Bytes of them, Ethernet header included, FCS not.");
    auto packets = FamilyBuilder::counter("sluice_packets_total", "Packets by verdict.");
    auto bytes = FamilyBuilder::counter("sluice_bytes_total", "Bytes by verdict, as received.");
    auto drops = FamilyBuilder::counter("sluice_drops_total", "Packets dropped, by reason.");
    auto punts = FamilyBuilder::counter("sluice_punts_total", "Packets handed to the engine, by what for.");
    for (const api::TrafficReport& each : report.traffic) {
        const Labels where = {{"interface", each.interface}, {"tier", each.tier}};
        const auto with = [&](const char* name, const char* value) {
            Labels labels = where;
            labels.emplace_back(name, value);
            return labels;
        };
        received.add(where, each.counters.received_packets);
        received_bytes.add(where, each.counters.received_bytes);
        for (u32 i = 1; i < VERDICT_COUNT; ++i) {
            packets.add(with("verdict", api::verdict_name(i)), each.counters.packets[i]);
            bytes.add(with("verdict", api::verdict_name(i)), each.counters.bytes[i]);
        }
        for (u32 i = 1; i < REASON_COUNT; ++i)
            drops.add(with("reason", api::reason_name(i)), each.counters.drops[i]);
        for (u32 i = 1; i < PUNT_COUNT; ++i)
            punts.add(with("kind", api::punt_name(i)), each.counters.punts[i]);
    }
    for (FamilyBuilder* family : {&received, &received_bytes, &packets, &bytes, &drops, &punts})
        out.push_back(family->take());
}

void tiers(const Report& report, Families& out) {
    auto active = FamilyBuilder::gauge("sluice_tier_active", "1 for each tier that serves an interface.");
    auto refused = FamilyBuilder::gauge(
        "sluice_tier_refused", "1 for each tier, or better mode of it, that an interface does without.");
    auto up =
        FamilyBuilder::gauge("sluice_interface_up", "Whether the interface is there, up, and has carrier.");
    for (const api::InterfaceReport& interface : report.interfaces) {
        up.add({{"interface", interface.name}}, interface.up ? 1 : 0);
        for (const api::TierReport& tier : interface.tiers) {
            if (tier.active)
                active.add({{"interface", interface.name}, {"tier", tier.tier}, {"mode", tier.mode}}, 1);
            if (!tier.reason.empty())
                refused.add({{"interface", interface.name}, {"tier", tier.tier}, {"reason", tier.reason}}, 1);
        }
    }
    for (FamilyBuilder* family : {&active, &refused, &up}) out.push_back(family->take());
}

void flow_table(const Report& report, Families& out) {
    const api::FlowTableReport& flows = report.flows;
    auto live = FamilyBuilder::gauge("sluice_flows", "Live flows by state, as of the last sweep.");
    for (u32 i = 0; i <= STATE_OTHER; ++i) live.add({{"state", api::state_name(i)}}, flows.live[i]);
    out.push_back(live.take());
    single(out, FamilyBuilder::gauge("sluice_flow_table_capacity", "Slots of the flow table."),
           flows.capacity);
    single(out, FamilyBuilder::gauge("sluice_flow_aliases", "Slots that hold the key of a flow's replies."),
           flows.aliases);
    const struct worker_counters& c = flows.counters;
    single(out, FamilyBuilder::counter("sluice_flows_created_total", "Flows entered."), c.flows_created);
    single(out, FamilyBuilder::counter("sluice_flows_evicted_total", "Live flows replaced in full buckets."),
           c.flows_evicted);
    single(out,
           FamilyBuilder::counter("sluice_flows_reclaimed_total", "Expired flows replaced before the sweep."),
           c.flows_reclaimed);
    single(out, FamilyBuilder::counter("sluice_flows_expired_total", "Flows removed by the sweep."),
           flows.expired);
    single(
        out,
        FamilyBuilder::counter("sluice_flows_busy_total", "Inserts given up: other writers held the slots."),
        c.flows_busy);
    single(
        out,
        FamilyBuilder::counter("sluice_flow_repairs_total", "Slots freed that a crashed writer had locked."),
        flows.repaired);
    single(out, FamilyBuilder::counter("sluice_trace_events_total", "Packets sampled."), c.trace_events);
    single(out, FamilyBuilder::counter("sluice_trace_lost_total", "Samples that found no room."),
           c.trace_lost);
}

void services(const Report& report, Families& out) {
    auto packets = FamilyBuilder::counter("sluice_service_packets_total", "Packets to and from backends.");
    auto bytes = FamilyBuilder::counter("sluice_service_bytes_total", "Bytes of them, as received.");
    auto flows = FamilyBuilder::counter("sluice_service_flows_created_total", "Flows given to backends.");
    size_t backends = 0;
    for (const api::ServiceReport& service : report.services) backends += service.backends.size();
    packets.reserve(2 * backends);
    bytes.reserve(2 * backends);
    flows.reserve(backends);
    for (const api::ServiceReport& service : report.services) {
        if (service.mode == "proxy") continue;  // its bytes are those of connections: proxy_families()
        for (const api::BackendReport& backend : service.backends) {
            Labels labels = {{"service", service.name}, {"backend", backend.name}};
            flows.add(labels, backend.counters.flows);
            labels.emplace_back("direction", "to_backend");
            packets.add(labels, backend.counters.to.packets);
            bytes.add(labels, backend.counters.to.bytes);
            labels.back().second = "from_backend";
            packets.add(labels, backend.counters.from.packets);
            bytes.add(labels, backend.counters.from.bytes);
        }
    }
    for (FamilyBuilder* family : {&packets, &bytes, &flows}) out.push_back(family->take());

    auto rule_packets = FamilyBuilder::counter("sluice_policy_packets_total", "Packets that a rule decided.");
    auto rule_bytes = FamilyBuilder::counter("sluice_policy_bytes_total", "Bytes of them, as received.");
    auto dry_packets = FamilyBuilder::counter("sluice_policy_dry_run_packets_total",
                                              "Packets that a rule in dry run would have decided.");
    for (const api::RuleReport& rule : report.rules) {
        if (rule.dry_run) {
            dry_packets.add({{"rule", rule.name}, {"would", rule.action}}, rule.counters.packets);
            continue;
        }
        rule_packets.add({{"rule", rule.name}}, rule.counters.packets);
        rule_bytes.add({{"rule", rule.name}}, rule.counters.bytes);
    }
    out.push_back(rule_packets.take());
    out.push_back(rule_bytes.take());
    out.push_back(dry_packets.take());
}

struct XskColumn {
    const char* name;
    const char* help;
    u64 XskStatistics::*member;
};
constexpr XskColumn xsk_columns[] = {
    {"sluice_xsk_received_packets_total", "Frames received on the XDP socket.", &XskStatistics::received},
    {"sluice_xsk_sent_packets_total", "Frames put on its transmit ring.", &XskStatistics::sent},
    {"sluice_xsk_transmit_full_total", "Frames its transmit ring had no room for.",
     &XskStatistics::transmit_full},
    {"sluice_xsk_rx_dropped_total", "XDP_STATISTICS: dropped for other reasons.", &XskStatistics::rx_dropped},
    {"sluice_xsk_rx_ring_full_total", "XDP_STATISTICS: receive ring full.", &XskStatistics::rx_ring_full},
    {"sluice_xsk_rx_fill_ring_empty_total", "XDP_STATISTICS: no buffer to receive into.",
     &XskStatistics::rx_fill_ring_empty},
    {"sluice_xsk_rx_invalid_descriptors_total", "XDP_STATISTICS: invalid addresses in the fill ring.",
     &XskStatistics::rx_invalid},
    {"sluice_xsk_tx_invalid_descriptors_total", "XDP_STATISTICS: invalid descriptors in the transmit ring.",
     &XskStatistics::tx_invalid},
    {"sluice_xsk_tx_ring_empty_total", "XDP_STATISTICS: transmit ring found empty.",
     &XskStatistics::tx_ring_empty},
};

void sockets(const Report& report, Families& out) {
    for (const XskColumn& column : xsk_columns) {
        auto family = FamilyBuilder::counter(column.name, column.help);
        for (const api::InterfaceReport& interface : report.interfaces) {
            for (const api::QueueReport& queue : interface.queues)
                family.add({{"interface", interface.name}, {"queue", fmt::to_string(queue.queue)}},
                           queue.statistics.*column.member);
        }
        out.push_back(family.take());
    }
}

struct RingColumn {
    const char* name;
    const char* help;
    u64 PacketRingStatistics::*member;
};
constexpr RingColumn ring_columns[] = {
    {"sluice_packet_ring_packets_total", "Packets taken from an interface's packet sockets.",
     &PacketRingStatistics::packets},
    {"sluice_packet_ring_frames_total", "Frames that they were on the wire.", &PacketRingStatistics::frames},
    {"sluice_packet_ring_lost_total", "Packets that found no room in the ring (tp_drops).",
     &PacketRingStatistics::lost},
    {"sluice_packet_ring_unreadable_total", "Packets cut off, or with an offload that is not known.",
     &PacketRingStatistics::unreadable},
    {"sluice_packet_ring_too_long_total", "Frames longer than a packet buffer.",
     &PacketRingStatistics::too_long},
    {"sluice_packet_ring_joined_total",
     "Packets that were several frames in one (GRO, segmentation offload).", &PacketRingStatistics::joined},
    {"sluice_packet_ring_checksums_total", "Checksums left to hardware, and finished here.",
     &PacketRingStatistics::checksums},
};

void rings(const Report& report, Families& out) {
    for (const RingColumn& column : ring_columns) {
        auto family = FamilyBuilder::counter(column.name, column.help);
        for (const api::InterfaceReport& interface : report.interfaces) {
            if (interface.packets)
                family.add({{"interface", interface.name}}, interface.packets->statistics.*column.member);
        }
        out.push_back(family.take());
    }
}

void workers(const Report& report, Families& out) {
    auto busy = FamilyBuilder::counter("sluice_worker_busy_seconds_total", "Time a worker spent on frames.");
    auto idle = FamilyBuilder::counter("sluice_worker_idle_seconds_total", "Time it found none.");
    auto ratio =
        FamilyBuilder::gauge("sluice_worker_busy_ratio", "Share of its time spent on frames, since start.");
    auto batches = FamilyBuilder::counter("sluice_worker_batches_total", "Batches that held frames.");
    auto frames = FamilyBuilder::counter("sluice_worker_frames_total", "Frames in them.");
    auto size =
        FamilyBuilder::gauge("sluice_worker_batch_size", "Mean number of frames in a batch, since start.");
    auto sleeps =
        FamilyBuilder::counter("sluice_worker_sleeps_total", "Times it went to sleep for want of frames.");
    for (const api::WorkerReport& worker : report.workers) {
        const Labels labels = {{"worker", fmt::to_string(worker.id)}};
        const double total = static_cast<double>(worker.busy_ns) + static_cast<double>(worker.idle_ns);
        busy.add(labels, static_cast<double>(worker.busy_ns) / 1e9);
        idle.add(labels, static_cast<double>(worker.idle_ns) / 1e9);
        ratio.add(labels, total > 0 ? static_cast<double>(worker.busy_ns) / total : 0.0);
        batches.add(labels, worker.batches);
        frames.add(labels, worker.frames);
        size.add(labels, worker.batches > 0
                             ? static_cast<double>(worker.frames) / static_cast<double>(worker.batches)
                             : 0.0);
        sleeps.add(labels, worker.sleeps);
    }
    auto place = FamilyBuilder::gauge(
        "sluice_worker_node", "Memory node of the core that a worker is pinned to; core none: it is not.");
    auto memory = FamilyBuilder::gauge("sluice_worker_memory_ratio",
                                       "Share of a worker's packet buffers on each memory node, at start.");
    for (const api::WorkerReport& worker : report.workers) {
        const std::string id = fmt::to_string(worker.id);
        place.add({{"worker", id}, {"core", worker.core ? fmt::to_string(*worker.core) : "none"}},
                  worker.node);
        for (size_t node = 0; node < worker.memory_percent.size(); ++node)
            memory.add({{"worker", id}, {"node", fmt::to_string(node)}}, worker.memory_percent[node] / 100.0);
    }
    auto numa = FamilyBuilder::gauge("sluice_numa_active", "Whether workers and memory are placed by node.");
    if (!report.placement.reason.empty())
        numa.add({{"reason", report.placement.reason}}, report.placement.numa ? 1 : 0);
    for (FamilyBuilder* family :
         {&busy, &idle, &ratio, &batches, &frames, &size, &sleeps, &place, &memory, &numa})
        out.push_back(family->take());
}

struct BufferState {
    const char* name;
    u32 FrameCensus::*member;
};
constexpr BufferState buffer_states[] = {
    {"free", &FrameCensus::free},
    {"fill", &FrameCensus::in_fill},
    {"kernel", &FrameCensus::in_kernel},
    {"receive", &FrameCensus::in_receive},
    {"waiting", &FrameCensus::held},
    {"transmit", &FrameCensus::in_transmit},
    {"completion", &FrameCensus::in_completion},
};

void buffers(const Report& report, Families& out) {
    auto capacity = FamilyBuilder::gauge("sluice_umem_capacity", "Packet buffers of a worker's UMEM.");
    auto states = FamilyBuilder::gauge("sluice_umem_buffers",
                                       "Of these, by where they are; they add up while no frame moves.");
    for (const api::WorkerReport& worker : report.workers) {
        if (!worker.buffers) continue;
        const std::string id = fmt::to_string(worker.id);
        capacity.add({{"worker", id}}, worker.buffers->total);
        for (const BufferState& state : buffer_states)
            states.add({{"worker", id}, {"state", state.name}}, (*worker.buffers).*state.member);
    }
    out.push_back(capacity.take());
    out.push_back(states.take());
}

void kernel(const Report& report, Families& out) {
    const api::KernelReport& k = report.kernel;
    single(out,
           FamilyBuilder::counter("sluice_neighbor_requests_total",
                                  "Neighbours the kernel was asked to resolve or confirm."),
           k.neighbor_requests);
    single(
        out,
        FamilyBuilder::counter("sluice_neighbor_request_failures_total", "Of these, refused by the kernel."),
        k.neighbor_failures);
    single(out,
           FamilyBuilder::counter("sluice_neighbor_requests_lost_total",
                                  "Requests of workers that found no room."),
           k.neighbor_requests_lost);
    single(out,
           FamilyBuilder::counter("sluice_neighbors_missing_total", "Packets whose next hop was unresolved."),
           report.flows.counters.neighbors_missing);
    single(out,
           FamilyBuilder::counter("sluice_kernel_changes_total",
                                  "Changes of links, addresses, routes or neighbours followed."),
           k.changes);
    single(out,
           FamilyBuilder::counter("sluice_kernel_overruns_total",
                                  "Times that the kernel's notices were lost and all was read anew."),
           k.overruns);
    if (!report.run) return;
    auto count = FamilyBuilder::counter("sluice_bpf_run_count_total",
                                        "Runs of the XDP program, as the kernel counts.");
    auto seconds = FamilyBuilder::counter("sluice_bpf_run_seconds_total", "Time spent in it.");
    count.add({{"program", "sluice_xdp"}}, report.run->run_count);
    seconds.add({{"program", "sluice_xdp"}}, static_cast<double>(report.run->run_ns) / 1e9);
    out.push_back(count.take());
    out.push_back(seconds.take());
}

void configuration(const Report& report, Families& out) {
    const api::ConfigReport& config = report.config;
    single(out,
           FamilyBuilder::gauge("sluice_config_last_reload_successful",
                                "Whether the last configuration offered was taken."),
           config.last_reload_ok ? 1 : 0);
    single(out, FamilyBuilder::gauge("sluice_config_generation", "Number of the snapshot in force."),
           config.generation);
    single(out, FamilyBuilder::gauge("sluice_config_loaded_timestamp_seconds", "When it was loaded."),
           config.loaded_at);
    single(out, FamilyBuilder::counter("sluice_config_reloads_total", "Reloads tried."), config.reloads);
    single(out, FamilyBuilder::counter("sluice_config_reload_failures_total", "Reloads refused."),
           config.failures);
    auto build = FamilyBuilder::gauge("sluice_build_info", "1, with what was built as labels.");
    build.add({{"version", report.version}, {"compiler", __VERSION__}}, 1);
    out.push_back(build.take());
}

}  // namespace

Families families(const Report& report) {
    Families out;
    traffic(report, out);
    tiers(report, out);
    flow_table(report, out);
    services(report, out);
    health_families(report, out);
    sockets(report, out);
    rings(report, out);
    add_dpdk(report, out);
    workers(report, out);
    buffers(report, out);
    kernel(report, out);
    evaluation_families(report, out);
    configuration(report, out);
    capture_families(report.capture, out);
    confinement_families(report.confinement, out);
    if (report.proxy) proxy_families(*report.proxy, out);
    return out;
}

std::string text(const Report& report) {
    Families all = families(report);
    Families process = process_families();
    all.insert(all.end(), std::make_move_iterator(process.begin()), std::make_move_iterator(process.end()));
    return exposition(all);
}

}  // namespace sluice::metrics
