// SPDX-License-Identifier: Apache-2.0
//
// Transparent interception on this node: what the proxy is told of it, and the kernel's rules that bring
// connections to the proxy. Control thread only.
#pragma once

#include <optional>

#include "control/compile/compiler.h"
#include "dataplane/io/interception/nft_table.h"
#include "dataplane/io/netlink/mark_routes.h"

namespace sluice::proxy {
struct Snapshot;
}

namespace sluice::control {

// Adds listeners and settings for intercepted connections, where the configuration asks for it.
void add_interception(const config::Config& config, const compile::Snapshot& snapshot, proxy::Snapshot& out);

class Interception {
public:
    // Routes, which answers need: before the proxy uses clients' addresses. What an earlier daemon left and
    // nobody needs is removed.
    Status prepare(const config::Config& config);
    // Connections go to the proxy from now on, as the configuration says.
    Status begin(const config::Config& config);
    // No new ones do; those that are open go on.
    void drain();
    // Everything away.
    void stop();
    bool active() const { return wish_.interception.has_value(); }

private:
    Status route(bool wanted);

    NftTable table_;
    NftWish wish_;
    std::optional<netlink::MarkRoutes> routes_;
};

}  // namespace sluice::control
