// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/proxy_tier.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "control/compile/prefix.h"
#include "dataplane/base/log.h"
#include "dataplane/proxy/proxy.h"

namespace sluice::control {

namespace {

proxy::Scheduler scheduler_of(config::Scheduler scheduler) {
    switch (scheduler) {
        case config::Scheduler::least_connections: return proxy::Scheduler::least_connections;
        case config::Scheduler::round_robin:
        case config::Scheduler::weighted_round_robin: return proxy::Scheduler::round_robin;
        case config::Scheduler::maglev:
        case config::Scheduler::source_hash: break;
    }
    return proxy::Scheduler::hash;
}

proxy::HeaderVersion header_of(config::ProxyProtocol version) {
    switch (version) {
        case config::ProxyProtocol::v1: return proxy::HeaderVersion::v1;
        case config::ProxyProtocol::v2: return proxy::HeaderVersion::v2;
        case config::ProxyProtocol::none: break;
    }
    return proxy::HeaderVersion::none;
}

// In the order of the image's records: by address and port.
std::vector<u32> weights_of(const config::Service& service) {
    std::vector<const config::Backend*> ordered;
    for (const config::Backend& backend : service.backends) ordered.push_back(&backend);
    std::sort(ordered.begin(), ordered.end(), [](const config::Backend* a, const config::Backend* b) {
        return std::tie(a->address, a->port) < std::tie(b->address, b->port);
    });
    std::vector<u32> weights;
    for (const config::Backend* backend : ordered) weights.push_back(backend->weight);
    return weights;
}

proxy::ServiceSettings settings_of(const config::Service& service, u16 id, u32 udp_timeout_ms) {
    proxy::ServiceSettings out;
    out.name = service.name;
    out.id = id;
    out.protocol = static_cast<u8>(service.protocol);
    out.vip = compile::to_address(service.vip.address);
    out.vip_length = service.vip.length;
    for (const config::PortRange& range : service.ports.ranges) out.ports.push_back({range.lo, range.hi});
    if (service.ports.any) out.ports.push_back({1, 65535});
    out.scheduler = scheduler_of(service.scheduler);
    out.weights = weights_of(service);
    out.connect_timeout_ms = static_cast<u32>(service.proxy.connect_timeout.count());
    out.idle_timeout_ms = static_cast<u32>(service.proxy.idle_timeout.count());
    if (service.protocol == config::Protocol::udp) out.idle_timeout_ms = udp_timeout_ms;
    out.send_header = header_of(service.proxy.proxy_protocol);
    out.accept_header = service.proxy.accept_proxy_protocol;
    out.transparent = service.proxy.transparent;
    out.splice = service.proxy.splice;
    out.most_connections = service.limits.connections.value_or(0);
    out.new_connections = service.limits.new_connections.value_or(0);
    return out;
}

api::ProxyServiceReport& slot(std::vector<api::ProxyServiceReport>& services, const char* name) {
    for (api::ProxyServiceReport& each : services) {
        if (each.name == name) return each;
    }
    services.emplace_back().name = name;
    return services.back();
}

void add(api::HistogramReport& to, const proxy::Histogram& from) {
    to.buckets.resize(proxy::Histogram::buckets);
    for (u32 i = 0; i < proxy::Histogram::buckets; ++i) to.buckets[i] += from.bucket(i);
    to.sum_ns += from.sum_ns();
}

// By name, as /v1/services and the metrics have them.
template <size_t count>
void add(std::vector<std::pair<std::string, u64>>& to, const std::array<proxy::Counter, count>& from) {
    to.resize(count);
    for (size_t i = 0; i < count; ++i) {
        to[i].first = proxy::ending_name(static_cast<proxy::Ending>(i));
        to[i].second += from[i].get();
    }
}

void add_service(const char* name, const proxy::ServiceCounters& from, api::ProxyReport& report) {
    if (*name == '\0') return;
    api::ProxyServiceReport& to = slot(report.services, name);
    to.opened += from.opened.get();
    to.open += from.open.get();
    to.retries += from.retries.get();
    to.bytes_to_backend += from.bytes_to_backend.get();
    to.bytes_to_client += from.bytes_to_client.get();
    to.datagrams_to_backend += from.datagrams_to_backend.get();
    to.datagrams_to_client += from.datagrams_to_client.get();
    to.datagrams_lost += from.datagrams_lost.get();
    add(to.without_session, from.without_session);
    add(to.ended, from.ended);
    add(to.connect, from.connect);
    add(to.first_byte, from.first_byte);
}

void add_backend(const proxy::CounterTable::BackendKey& key, const proxy::BackendCounters& from,
                 api::ProxyReport& report) {
    auto& list = slot(report.services, key.service).backends;
    const std::string name = key.endpoint == proxy::Endpoint{} ? "original" : key.endpoint.text();
    auto at = std::find_if(list.begin(), list.end(), [&](const auto& each) { return each.name == name; });
    if (at == list.end()) {
        list.emplace_back().name = name;
        at = list.end() - 1;
    }
    at->connections += from.connections.get();
    at->failures += from.failures.get();
    at->bytes_to += from.bytes_to.get();
    at->bytes_from += from.bytes_from.get();
}

// What the proxy is told, out of a configuration and what it was compiled to; the image apart.
std::shared_ptr<proxy::Snapshot> proxy_snapshot(const config::Config& config,
                                                const compile::Snapshot& snapshot) {
    auto out = std::make_shared<proxy::Snapshot>();
    out->generation = snapshot.generation;
    out->backend_ids = snapshot.identities.backends.bound();
    out->rule_ids = snapshot.identities.rules.bound();
    for (const config::Service& service : config.services) {
        if (service.mode != config::Mode::proxy) continue;
        out->services.push_back(settings_of(service, snapshot.identities.services.at(service.name),
                                            static_cast<u32>(config.timeouts.udp.count())));
    }
    add_interception(config, snapshot, *out);
    return out;
}

// A copy of the image, which its loops read for as long as they like: only where there are any.
void own_lines(const compile::Snapshot& snapshot, proxy::Snapshot& out) {
    auto lines = std::make_shared<const compile::Lines>(snapshot.lines);
    out.lines = lines->data();
    out.line_count = static_cast<u32>(lines->size());
    out.owner = lines;
}

}  // namespace

Status ProxyTier::start(const config::Config& config) {
    proxy::Options options;
    if (ebpf_.value == config::Switch::off) options.no_bpf = "ENABLE_EBPF is false";
    if (config.workers.poll == config::Poll::interrupt) options.spin_ns = 0;
    options.access_log = config.log.access;
    options.access_log_json = config.log.format == "json";
    auto started = proxy::Proxy::start(options, std::exchange(inherited_, {}));
    if (!started) return started.error();
    proxy_ = std::move(*started);
    return {};
}

Status ProxyTier::apply(const config::Config& config, const compile::Snapshot& snapshot) {
    std::shared_ptr<proxy::Snapshot> next = proxy_snapshot(config, snapshot);
    if (!proxy_ && (!next->services.empty() || next->inbound)) {
        if (Status status = start(config); !status) return status;
    }
    if (Status status = open_routes(); !status) return status;
    if (Status status = interception_.prepare(config); !status) return status;
    std::set<netlink::LocalPrefix> prefixes;
    for (const proxy::ServiceSettings& service : next->services)
        prefixes.insert({service.vip, service.vip_length});
    services_ = next->services.size();
    if (proxy_) {
        own_lines(snapshot, *next);
        if (Status status = proxy_->apply(next); !status) return status;
    }
    // Without the right to change routes the addresses have to be the node's by other means.
    if (Status status = routes_->set(prefixes); !status) spdlog::warn("{}", status.error().message);
    inherited_.clear();  // of services that are gone
    return interception_.begin(config);
}

Status ProxyTier::open_routes() {
    if (routes_) return {};
    Result<netlink::LocalRoutes> routes = netlink::LocalRoutes::open();
    if (!routes) return routes.error();
    routes_ = std::move(*routes);
    return {};
}

Status ProxyTier::clean() {
    ProxyTier tier({});
    if (Status status = tier.open_routes(); !status) return status;
    tier.stop();
    return {};
}

void ProxyTier::drain() {
    interception_.drain();
    if (proxy_) proxy_->stop_listening();
}

u64 ProxyTier::connections() const { return proxy_ ? proxy_->connections() : 0; }

std::vector<proxy::HeldPoint> ProxyTier::listeners() const {
    return proxy_ ? proxy_->listening().held() : std::vector<proxy::HeldPoint>{};
}

void ProxyTier::leave() {
    left_ = true;
    drain();
}

void ProxyTier::stop() {
    if (left_) return proxy_.reset();
    if (proxy_ || routes_) interception_.stop();
    proxy_.reset();
    services_ = 0;
    if (routes_) {
        if (Status status = routes_->set({}); !status) spdlog::warn("{}", status.error().message);
    }
}

api::TierReport ProxyTier::tier_report() const {
    api::TierReport report;
    report.active = proxy_ && (services_ > 0 || interception_.active());
    if (!report.active) {
        report.reason = "no service is in mode proxy";
        return report;
    }
    const std::string& refusal = proxy_->listening().no_lookup();
    report.mode = refusal.empty() ? "proxy, sk_lookup" : "proxy, sockets";
    if (!refusal.empty()) report.reason = "a listening socket per port: " + refusal;
    if (interception_.active()) report.mode += ", interception";
    return report;
}

std::optional<api::ProxyReport> ProxyTier::report() const {
    if (!proxy_) return std::nullopt;
    api::ProxyReport report;
    for (const auto& loop : proxy_->loops()) {
        loop->table().each_service(
            [&](const char* name, const auto& counters) { add_service(name, counters, report); });
        loop->table().each_backend(
            [&](const auto& key, const auto& counters) { add_backend(key, counters, report); });
        const proxy::LoopCounters& c = loop->counters();
        report.wakes += c.wakes.get();
        report.events += c.events.get();
        report.accept_pauses += c.accept_pauses.get();
        report.held_bytes += c.held_bytes.get();
        report.high_water += c.high_water.get();
        report.starved += c.starved.get();
        report.splices += c.splices.get();
        report.copies += c.copies.get();
        report.closed_forgotten += c.closed_forgotten.get();
        report.cpu_ns.push_back(loop->cpu_ns());
    }
    report.connections = proxy_->connections();
    report.listeners = proxy_->listening().sockets();
    report.buffer_bound = proxy_->bound().limit();
    report.log_lines = proxy_->log_lines();
    report.log_dropped = proxy_->log_dropped();
    return report;
}

}  // namespace sluice::control
