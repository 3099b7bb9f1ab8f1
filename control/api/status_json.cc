// SPDX-License-Identifier: Apache-2.0
//
// /v1/status.
#include "control/api/json.h"

namespace sluice::api {

namespace {

Json counters_json(const struct port_counters& counters) {
    Json verdicts = Json::object();
    for (u32 i = 1; i < VERDICT_COUNT; ++i) {
        if (counters.packets[i] == 0) continue;
        verdicts[verdict_name(i)] = {{"packets", counters.packets[i]}, {"bytes", counters.bytes[i]}};
    }
    Json drops = Json::object();
    for (u32 i = 1; i < REASON_COUNT; ++i) {
        if (counters.drops[i] != 0) drops[reason_name(i)] = counters.drops[i];
    }
    Json punts = Json::object();
    for (u32 i = 1; i < PUNT_COUNT; ++i) {
        if (counters.punts[i] != 0) punts[punt_name(i)] = counters.punts[i];
    }
    return {{"received", {{"packets", counters.received_packets}, {"bytes", counters.received_bytes}}},
            {"verdicts", verdicts},
            {"drops", drops},
            {"punts", punts}};
}

Json dpdk_json(const DpdkReport& port) {
    const DpdkDeviceStatistics& s = port.statistics;
    Json extended = Json::object();
    for (const auto& [name, value] : port.extended) extended[name] = value;
    return {{"device", port.device},
            {"driver", port.driver},
            {"rx_queues", port.rx_queues},
            {"tx_queues", port.tx_queues},
            {"symmetric_rss", port.symmetric_rss},
            {"memory_percent", port.memory_percent},
            {"pages", port.pages},
            {"elsewhere", port.elsewhere},
            {"link", {{"up", port.link.up}, {"mbps", port.link.mbps}}},
            {"received", s.received},
            {"sent", s.sent},
            {"missed", s.missed},
            {"no_buffer", s.no_buffer},
            {"receive_errors", s.receive_errors},
            {"transmit_errors", s.transmit_errors},
            {"buffers", s.buffers},
            {"buffers_in_use", s.buffers_in_use},
            {"transmit_full", port.ports.transmit_full},
            {"oversize", port.ports.oversize},
            {"unjoined", port.ports.no_buffer},
            {"handed_over", port.ports.handed_over},
            {"inlet_sent", port.ports.inlet_sent},
            {"inlet_dropped", port.ports.inlet_dropped},
            {"inlet_full", s.inlet_full},
            {"host_path",
             {{"device", port.host_path},
              {"to_host", port.host_delivered},
              {"refused", port.host_refused},
              {"from_host", s.host_frames},
              {"no_buffer", s.host_no_buffer}}},
            {"extended", extended}};
}

Json packets_json(const PacketReport& port) {
    const PacketRingStatistics& s = port.statistics;
    return {{"rings", port.rings},
            {"packets", s.packets},
            {"frames", s.frames},
            {"joined", s.joined},
            {"checksums", s.checksums},
            {"tagged", s.tagged},
            {"unreadable", s.unreadable},
            {"too_long", s.too_long},
            {"lost", s.lost},
            {"host_path",
             {{"device", port.host_path}, {"to_host", port.host_delivered}, {"refused", port.host_refused}}}};
}

Json interface_json(const InterfaceReport& interface, const std::vector<TrafficReport>& traffic) {
    Json tiers = Json::array();
    for (const TierReport& tier : interface.tiers) {
        tiers.push_back({{"tier", tier.tier},
                         {"active", tier.active},
                         {"mode", tier.mode},
                         {"reason", tier.reason},
                         {"decided", tier.decided}});
    }
    Json queues = Json::array();
    for (const QueueReport& queue : interface.queues) {
        const XskStatistics& s = queue.statistics;
        queues.push_back({{"queue", queue.queue},
                          {"worker", queue.worker},
                          {"zero_copy", queue.zero_copy},
                          {"received", s.received},
                          {"sent", s.sent},
                          {"transmit_full", s.transmit_full},
                          {"rx_dropped", s.rx_dropped},
                          {"rx_ring_full", s.rx_ring_full},
                          {"rx_fill_ring_empty", s.rx_fill_ring_empty}});
    }
    Json dpdk = nullptr;
    if (interface.dpdk) dpdk = dpdk_json(*interface.dpdk);
    Json packets = nullptr;
    if (interface.packets) packets = packets_json(*interface.packets);
    Json counters = Json::object();
    for (const TrafficReport& each : traffic) {
        if (each.interface == interface.name) counters[each.tier] = counters_json(each.counters);
    }
    return {{"name", interface.name},
            {"port", interface.port},
            {"ifindex", interface.ifindex},
            {"vlan", interface.vlan},
            {"mac", interface.mac},
            {"mtu", interface.mtu},
            {"up", interface.up},
            {"addresses", interface.addresses},
            {"tiers", tiers},
            {"queues", queues},
            {"dpdk", dpdk},
            {"packet_sockets", packets},
            {"traffic", counters}};
}

Json flow_table_json(const FlowTableReport& flows) {
    Json live = Json::object();
    u64 total = 0;
    for (u32 i = 0; i <= STATE_OTHER; ++i) {
        live[state_name(i)] = flows.live[i];
        total += flows.live[i];
    }
    const struct worker_counters& c = flows.counters;
    return {{"capacity", flows.capacity},
            {"live", total},
            {"by_state", live},
            {"aliases", flows.aliases},
            {"created", c.flows_created},
            {"evicted", c.flows_evicted},
            {"reclaimed", c.flows_reclaimed},
            {"expired", flows.expired},
            {"busy", c.flows_busy},
            {"repaired", flows.repaired}};
}

Json buffers_json(const std::optional<FrameCensus>& buffers) {
    if (!buffers) return nullptr;
    return {{"configured", buffers->total},
            {"free", buffers->free},
            {"fill", buffers->in_fill},
            {"kernel", buffers->in_kernel},
            {"receive", buffers->in_receive},
            {"waiting", buffers->held},
            {"transmit", buffers->in_transmit},
            {"completion", buffers->in_completion},
            {"sum", buffers->sum()}};
}

Json workers_json(const Report& report) {
    Json workers = Json::array();
    for (const WorkerReport& worker : report.workers) {
        workers.push_back({{"id", worker.id},
                           {"thread", worker.thread},
                           {"core", worker.core ? Json(*worker.core) : Json(nullptr)},
                           {"node", worker.node},
                           {"memory_node", worker.memory_node ? Json(*worker.memory_node) : Json(nullptr)},
                           {"memory_percent", worker.memory_percent},
                           {"pages", worker.pages},
                           {"placement", worker.placement},
                           {"busy_seconds", static_cast<double>(worker.busy_ns) / 1e9},
                           {"idle_seconds", static_cast<double>(worker.idle_ns) / 1e9},
                           {"batches", worker.batches},
                           {"frames", worker.frames},
                           {"sleeps", worker.sleeps},
                           {"transmit_refused", worker.transmit_refused},
                           {"host_path_refused", worker.host_path_refused},
                           {"sent_elsewhere", worker.sent_elsewhere},
                           {"buffers", buffers_json(worker.buffers)}});
    }
    return workers;
}

Json confinement_json(const ConfinementReport& confinement) {
    Json refused = Json::object();
    for (const auto& [name, count] : confinement.refused_calls) refused[name] = count;
    return {{"capabilities", confinement.capabilities},
            {"system_calls_filtered", confinement.filtered},
            {"reason", confinement.not_filtered},
            {"refused_calls", refused}};
}

}  // namespace

Json status_json(const Report& report) {
    Json interfaces = Json::array();
    for (const InterfaceReport& interface : report.interfaces)
        interfaces.push_back(interface_json(interface, report.traffic));
    const ConfigReport& config = report.config;
    return {{"version", report.version},
            {"pid", report.pid},
            {"uptime", report.uptime},
            {"ready", report.ready},
            {"not_ready", report.not_ready},
            {"adoption", report.adoption},
            {"config",
             {{"file", config.file},
              {"generation", config.generation},
              {"loaded_at", config.loaded_at},
              {"last_reload_ok", config.last_reload_ok},
              {"last_error", config.last_error},
              {"reloads", config.reloads},
              {"failures", config.failures},
              {"compile_ms", config.compile_ms},
              {"image_bytes", config.image_bytes}}},
            {"interfaces", interfaces},
            {"workers", workers_json(report)},
            {"no_workers", report.no_workers},
            {"placement",
             {{"numa", report.placement.numa},
              {"reason", report.placement.reason},
              {"lines", report.placement.lines}}},
            {"flow_table", flow_table_json(report.flows)},
            {"kernel",
             {{"changes", report.kernel.changes},
              {"overruns", report.kernel.overruns},
              {"neighbor_requests", report.kernel.neighbor_requests},
              {"neighbor_failures", report.kernel.neighbor_failures},
              {"neighbor_requests_lost", report.kernel.neighbor_requests_lost}}},
            {"trace_every", report.trace_every},
            {"capture",
             {{"running", report.capture.running},
              {"packets", report.capture.packets},
              {"lost", report.capture.lost}}},
            {"confinement", confinement_json(report.confinement)}};
}

}  // namespace sluice::api
