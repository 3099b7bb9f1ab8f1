// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/interception.h"

#include <netinet/in.h>

#include <algorithm>

#include "dataplane/base/log.h"
#include "dataplane/proxy/settings.h"

namespace sluice::control {

namespace {

NftPrefixes by_family(const std::vector<config::Prefix>& prefixes) {
    NftPrefixes out;
    for (const config::Prefix& prefix : prefixes) (prefix.is_v4() ? out.v4 : out.v6).push_back(prefix.text());
    return out;
}

NftWish wish_of(const config::Config& config) {
    NftWish wish;
    wish.foreign_addresses =
        std::any_of(config.services.begin(), config.services.end(), [](const config::Service& service) {
            return service.mode == config::Mode::proxy && service.proxy.transparent;
        });
    const config::Interception& asked = config.interception;
    if (!asked.enabled) return wish;
    InterceptionRules& rules = wish.interception.emplace();
    rules.inbound = asked.inbound;
    rules.outbound = asked.outbound;
    rules.transparent = asked.transparent;
    rules.destinations = by_family(asked.bypass.destinations);
    rules.sources = by_family(asked.bypass.sources);
    for (const config::PortRange& range : asked.bypass.ports) rules.ports.push_back({range.lo, range.hi});
    return wish;
}

bool bears_addresses(const NftWish& wish) {
    return wish.foreign_addresses || (wish.interception && wish.interception->transparent);
}

proxy::ListenPoint point(bool v4, u16 port, proxy::Arrives arrives, bool transparent) {
    proxy::Endpoint at;
    if (v4) at.address = address_from_ipv4_word(INADDR_ANY);
    at.port = port;
    return {at, IPPROTO_TCP, arrives, transparent};
}

}  // namespace

void add_interception(const config::Config& config, const compile::Snapshot& snapshot, proxy::Snapshot& out) {
    const config::Interception& asked = config.interception;
    if (!asked.enabled) return;
    out.mark_connections = true;
    for (const bool v4 : {true, false}) {
        out.interception_points.push_back(
            point(v4, asked.inbound, proxy::Arrives::inbound, asked.transparent));
        out.interception_points.push_back(
            point(v4, asked.outbound, proxy::Arrives::outbound, asked.transparent));
    }
    // Ids beyond those of services; names that no service can have.
    const auto id = static_cast<u16>(snapshot.identities.services.bound());
    const config::Proxy defaults;
    proxy::ServiceSettings settings;
    settings.connect_timeout_ms = static_cast<u32>(defaults.connect_timeout.count());
    settings.idle_timeout_ms = static_cast<u32>(config.timeouts.tcp_established.count());
    settings.transparent = asked.transparent;
    settings.name = "(inbound)";
    settings.id = id;
    out.inbound = settings;
    settings.name = "(outbound)";
    settings.id = static_cast<u16>(id + 1);
    out.outbound = settings;
}

Status Interception::route(bool wanted) {
    if (!routes_) {
        auto routes = netlink::MarkRoutes::open(mark_deliver);
        if (!routes) return routes.error();
        routes_ = std::move(*routes);
    }
    return routes_->set(wanted);
}

Status Interception::prepare(const config::Config& config) {
    const NftWish wish = wish_of(config);
    if (bears_addresses(wish) || bears_addresses(wish_)) return route(true);
    return routes_ ? Status{} : route(false);
}

Status Interception::begin(const config::Config& config) {
    NftWish wish = wish_of(config);
    if (Status status = table_.set(wish); !status) return status;
    wish_ = std::move(wish);
    return bears_addresses(wish_) ? Status{} : route(false);
}

// Packets of open connections under clients' addresses still have to be told apart.
void Interception::drain() {
    const NftWish rest{std::nullopt, bears_addresses(wish_)};
    if (Status status = table_.set(rest); !status) spdlog::warn("{}", status.error().message);
}

void Interception::stop() {
    if (Status status = table_.set({}); !status) spdlog::warn("{}", status.error().message);
    wish_ = {};
    if (Status status = route(false); !status) spdlog::warn("{}", status.error().message);
}

}  // namespace sluice::control
