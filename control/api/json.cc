// SPDX-License-Identifier: Apache-2.0
#include "control/api/json.h"

namespace sluice::api {

namespace {

#define SLUICE_NAME(id, name) name,
#define SLUICE_REASON_NAME(id, name, expected) name,
constexpr const char* verdict_names[] = {SLUICE_VERDICTS(SLUICE_NAME)};
constexpr const char* reason_names[] = {SLUICE_DROP_REASONS(SLUICE_REASON_NAME)};
constexpr const char* punt_names[] = {SLUICE_PUNTS(SLUICE_NAME)};
constexpr const char* answer_names[] = {SLUICE_ANSWERS(SLUICE_NAME)};
#undef SLUICE_NAME
#undef SLUICE_REASON_NAME

constexpr const char* state_names[] = {"tcp_syn", "tcp_established", "tcp_closing", "udp", "icmp", "other"};

Json counters_json(const struct port_counters& counters) {
    Json verdicts = Json::object();
    for (u32 i = 1; i < VERDICT_COUNT; ++i) {
        if (counters.packets[i] == 0) continue;
        verdicts[verdict_names[i]] = {{"packets", counters.packets[i]}, {"bytes", counters.bytes[i]}};
    }
    Json drops = Json::object();
    for (u32 i = 1; i < REASON_COUNT; ++i) {
        if (counters.drops[i] != 0) drops[reason_names[i]] = counters.drops[i];
    }
    Json punts = Json::object();
    for (u32 i = 1; i < PUNT_COUNT; ++i) {
        if (counters.punts[i] != 0) punts[punt_names[i]] = counters.punts[i];
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
            {"traffic", counters}};
}

Json flow_table_json(const FlowTableReport& flows) {
    Json live = Json::object();
    u64 total = 0;
    for (u32 i = 0; i < std::size(state_names); ++i) {
        live[state_names[i]] = flows.live[i];
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

}  // namespace

const char* verdict_name(u32 verdict) { return verdict < VERDICT_COUNT ? verdict_names[verdict] : "unknown"; }
const char* reason_name(u32 reason) { return reason < REASON_COUNT ? reason_names[reason] : "unknown"; }
const char* punt_name(u32 kind) { return kind < PUNT_COUNT ? punt_names[kind] : "unknown"; }
const char* answer_name(u32 kind) { return kind < ANSWER_COUNT ? answer_names[kind] : "unknown"; }
const char* state_name(u32 state) { return state < std::size(state_names) ? state_names[state] : "unknown"; }

const char* mode_name(u32 mode) {
    switch (mode & MODE_MASK) {
        case MODE_ROUTE: return "route";
        case MODE_NAT: return "nat";
        case MODE_FULLNAT: return "fullnat";
        case MODE_DSR_L2: return "dsr_l2";
        case MODE_DSR_IPIP: return "dsr_ipip";
        case MODE_DSR_GUE: return "dsr_gue";
        case MODE_DENIED: return "denied";
        default: return "unknown";
    }
}

Json confinement_json(const ConfinementReport& confinement) {
    Json refused = Json::object();
    for (const auto& [name, count] : confinement.refused_calls) refused[name] = count;
    return {{"capabilities", confinement.capabilities},
            {"system_calls_filtered", confinement.filtered},
            {"reason", confinement.not_filtered},
            {"refused_calls", refused}};
}

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

Json proxy_json(const ProxyServiceReport& proxy) {
    Json ended = Json::object();
    for (const auto& [name, count] : proxy.ended) {
        if (count != 0) ended[name] = count;
    }
    Json backends = Json::array();
    for (const ProxyBackendReport& backend : proxy.backends) {
        backends.push_back({{"name", backend.name},
                            {"connections", backend.connections},
                            {"failures", backend.failures},
                            {"bytes_to", backend.bytes_to},
                            {"bytes_from", backend.bytes_from}});
    }
    return {{"opened", proxy.opened},
            {"open", proxy.open},
            {"ended", ended},
            {"retries", proxy.retries},
            {"bytes_to_backend", proxy.bytes_to_backend},
            {"bytes_to_client", proxy.bytes_to_client},
            {"datagrams_to_backend", proxy.datagrams_to_backend},
            {"datagrams_to_client", proxy.datagrams_to_client},
            {"datagrams_lost", proxy.datagrams_lost},
            {"backends", backends}};
}

Json health_json(const std::optional<health::BackendHealth>& health) {
    if (!health) return nullptr;
    return {
        {"up", health->up},
        {"probed", health->probed},
        {"since", health->since},
        {"damped", health->damped},
        {"penalty", health->penalty},
        {"successes", health->successes},
        {"failures", health->failures},
        {"last_seconds", health->last_seconds},
        {"last_error", health->last_error},
        {"probes", {{"success", health->succeeded}, {"failure", health->failed}, {"unable", health->unable}}},
        {"went_up", health->went_up},
        {"went_down", health->went_down}};
}

Json services_json(const Report& report) {
    Json services = Json::array();
    for (const ServiceReport& service : report.services) {
        Json backends = Json::array();
        for (const BackendReport& backend : service.backends) {
            const struct backend_counters& c = backend.counters;
            backends.push_back({{"name", backend.name},
                                {"state", backend.state},
                                {"configured", backend.configured},
                                {"drained", backend.drained},
                                {"health", health_json(backend.health)},
                                {"weight", backend.weight},
                                {"flows_created", c.flows},
                                {"to", {{"packets", c.to.packets}, {"bytes", c.to.bytes}}},
                                {"from", {{"packets", c.from.packets}, {"bytes", c.from.bytes}}}});
        }
        services.push_back({{"name", service.name},
                            {"vip", service.vip},
                            {"protocol", service.protocol},
                            {"ports", service.ports},
                            {"mode", service.mode},
                            {"tier", service.tier},
                            {"backends", backends}});
        if (!report.proxy || service.mode != "proxy") continue;
        for (const ProxyServiceReport& proxy : report.proxy->services) {
            if (proxy.name == service.name) services.back()["proxy"] = proxy_json(proxy);
        }
    }
    return {{"services", services}};
}

// The least power of two of a microsecond within which `share` of all verdicts came; null: there were none,
// or it took longer than the counters tell.
Json latency_us(const HistogramReport& latency, double share) {
    u64 all = 0;
    for (const u64 count : latency.buckets) all += count;
    u64 seen = 0;
    for (size_t i = 0; i + 1 < latency.buckets.size(); ++i) {
        seen += latency.buckets[i];
        if (all != 0 && static_cast<double>(seen) >= share * static_cast<double>(all)) return u64{1} << i;
    }
    return nullptr;
}

Json evaluation_json(const EvaluationReport& evaluation) {
    Json outcomes = Json::object();
    for (const auto& [outcome, count] : evaluation.outcomes) outcomes[outcome] = count;
    return {{"outcomes", outcomes},
            {"cached", evaluation.cached},
            {"latency_us",
             {{"p50", latency_us(evaluation.latency, 0.5)}, {"p99", latency_us(evaluation.latency, 0.99)}}}};
}

Json policy_json(const Report& report) {
    Json rules = Json::array();
    for (const RuleReport& rule : report.rules) {
        Json entry = {{"name", rule.name},
                      {"action", rule.action},
                      {"dry_run", rule.dry_run},
                      {"packets", rule.counters.packets},
                      {"bytes", rule.counters.bytes}};
        if (rule.evaluation) entry["evaluation"] = evaluation_json(*rule.evaluation);
        rules.push_back(std::move(entry));
    }
    return {{"default", report.default_action}, {"rules", rules}};
}

Json flows_json(const FlowPage& page) {
    Json flows = Json::array();
    for (const FlowReport& flow : page.flows) {
        flows.push_back({{"protocol", flow.protocol},
                         {"initiator", flow.initiator},
                         {"responder", flow.responder},
                         {"backend", flow.backend},
                         {"service", flow.service},
                         {"mode", flow.mode},
                         {"state", flow.state},
                         {"rule", flow.rule},
                         {"idle", flow.idle},
                         {"packets", flow.packets},
                         {"bytes", flow.bytes}});
    }
    return {{"flows", flows}, {"next", page.next ? Json(*page.next) : Json(nullptr)}};
}

Json trace_json(const Report& report, const std::vector<TraceReport>& events) {
    Json list = Json::array();
    for (const TraceReport& event : events) {
        list.push_back({{"time", event.time},
                        {"interface", event.interface},
                        {"verdict", event.verdict},
                        {"reason", event.reason},
                        {"service", event.service},
                        {"backend", event.backend},
                        {"rule", event.rule},
                        {"protocol", event.protocol},
                        {"source", event.source},
                        {"destination", event.destination},
                        {"length", event.length}});
    }
    return {{"every", report.trace_every},
            {"events_total", report.flows.counters.trace_events},
            {"lost_total", report.flows.counters.trace_lost},
            {"events", list}};
}

}  // namespace sluice::api
