// SPDX-License-Identifier: Apache-2.0
//
// The epoll tier on this node: services in mode proxy, the routes that bring their traffic to the host stack,
// and the proxy that takes it there. Control thread only.
#pragma once

#include <memory>
#include <optional>

#include "control/api/model.h"
#include "control/compile/compiler.h"
#include "control/config/flags.h"
#include "dataplane/io/netlink/local_routes.h"
#include "dataplane/proxy/proxy.h"

namespace sluice::control {

// What the proxy is told, out of a configuration and what it was compiled to.
std::shared_ptr<proxy::Snapshot> proxy_snapshot(const config::Config& config,
                                                const compile::Snapshot& snapshot);

class ProxyTier {
public:
    // `ebpf`: whether programs beside XDP may be used.
    explicit ProxyTier(const config::Flag& ebpf) : ebpf_(ebpf) {}

    // Starts the proxy with the first configuration that has a service for it. Fails, with the old one in
    // force, when an address cannot be listened at.
    Status apply(const config::Config& config, const compile::Snapshot& snapshot);

    // New connections are refused from now on; done() once no open one is left.
    void drain();
    bool done() const { return !proxy_ || proxy_->connections() == 0; }
    bool running() const { return proxy_ != nullptr; }

    // Ends what is open and takes the routes away.
    void stop();

    std::shared_ptr<const proxy::Proxy> proxy() const { return proxy_; }
    api::TierReport tier_report() const;
    std::optional<api::ProxyReport> report() const;

private:
    Status start(const config::Config& config);

    const config::Flag ebpf_;
    std::shared_ptr<proxy::Proxy> proxy_;
    std::optional<netlink::LocalRoutes> routes_;
    size_t services_ = 0;
};

}  // namespace sluice::control
