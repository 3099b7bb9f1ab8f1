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
#include "control/daemon/interception.h"
#include "dataplane/io/netlink/local_routes.h"
#include "dataplane/proxy/listeners.h"

namespace sluice::proxy {
class Proxy;
}

namespace sluice::control {

class ProxyTier {
public:
    // `ebpf`: whether programs beside XDP may be used.
    explicit ProxyTier(const config::Flag& ebpf) : ebpf_(ebpf) {}

    // Starts the proxy with the first configuration that has a service for it. Fails, with the old one in
    // force, when an address cannot be listened at.
    Status apply(const config::Config& config, const compile::Snapshot& snapshot);

    // New connections are refused from now on; done() once no open one is left.
    void drain();
    bool done() const { return connections() == 0; }
    u64 connections() const;  // that are open
    bool running() const { return proxy_ != nullptr; }

    // A planned upgrade. The new daemon starts with the listening sockets of the old one, which afterwards
    // leaves the node to it: open connections go on, routes and rules stay.
    void inherit(std::vector<proxy::HeldPoint> listeners) { inherited_ = std::move(listeners); }
    std::vector<proxy::HeldPoint> listeners() const;
    void leave();

    // Ends what is open and takes routes and rules away.
    void stop();
    // What a killed daemon left of them.
    static Status clean();

    std::shared_ptr<const proxy::Proxy> proxy() const { return proxy_; }
    api::TierReport tier_report() const;
    std::optional<api::ProxyReport> report() const;

private:
    Status start(const config::Config& config);
    Status open_routes();

    const config::Flag ebpf_;
    std::shared_ptr<proxy::Proxy> proxy_;
    Interception interception_;
    std::optional<netlink::LocalRoutes> routes_;
    std::vector<proxy::HeldPoint> inherited_;
    size_t services_ = 0;
    bool left_ = false;
};

}  // namespace sluice::control
