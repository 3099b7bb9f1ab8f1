// SPDX-License-Identifier: Apache-2.0
//
// Services, rules, flows and samples.
#include "control/api/json.h"

namespace sluice::api {

namespace {

Json proxy_json(const ProxyServiceReport& proxy) {
    const auto by_reason = [](const std::vector<std::pair<std::string, u64>>& counts) {
        Json out = Json::object();
        for (const auto& [name, count] : counts) {
            if (count != 0) out[name] = count;
        }
        return out;
    };
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
            {"ended", by_reason(proxy.ended)},
            {"retries", proxy.retries},
            {"bytes_to_backend", proxy.bytes_to_backend},
            {"bytes_to_client", proxy.bytes_to_client},
            {"datagrams_to_backend", proxy.datagrams_to_backend},
            {"datagrams_to_client", proxy.datagrams_to_client},
            {"datagrams_lost", proxy.datagrams_lost},
            {"without_session", by_reason(proxy.without_session)},
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

}  // namespace

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
