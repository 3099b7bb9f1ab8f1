// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/io/netlink/kernel_mirror.h"
#include "dataplane/worker/engine.h"

namespace sluice::control {

// What the kernel's answer means for a packet: see Router::route().
u32 next_hop_of(const netlink::RouteAnswer& answer, const node_state& node, const pipeline_context& context,
                next_hop& hop);

// Next hops for one worker's engine out of the kernel mirror. `node` says which interface is which port.
class KernelRouter final : public Router {
public:
    KernelRouter(const node_state& node, netlink::KernelMirror& mirror)
        : node_(node), reader_(mirror.make_reader()), requests_(mirror.requests()) {}

    u32 route(const pipeline_context& context, const address& to, next_hop& hop) override;

private:
    const node_state& node_;
    netlink::KernelReader& reader_;
    netlink::NeighborRequests& requests_;
};

}  // namespace sluice::control
