// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/kernel_router.h"

namespace sluice::control {

u32 next_hop_of(const netlink::RouteAnswer& answer, const node_state& node, const pipeline_context& context,
                next_hop& hop) {
    if (answer.reach == netlink::Reach::no_route) return drop(REASON_NO_ROUTE);
    const u32 port = node_port_find(&node, answer.device, answer.vlan);
    // By an interface that is none of ours: what leaves as it came, the host routes; it knows nothing of the
    // rest.
    if (port == 0) return context.mode == MODE_ROUTE ? u32{VERDICT_PASS} : drop(REASON_NO_ROUTE);
    if (answer.reach == netlink::Reach::no_neighbor) return drop(REASON_NO_NEIGHBOR);
    std::memcpy(hop.mac, answer.mac.data(), answer.mac.size());
    hop.port = static_cast<u16>(port);
    return 0;
}

u32 KernelRouter::route(const pipeline_context& context, const address& to, next_hop& hop) {
    const netlink::RouteAnswer answer = reader_.resolve(to, static_cast<u32>(context.q.hash >> 32));
    const u32 word = next_hop_of(answer, node_, context, hop);
    if (word == drop(REASON_NO_NEIGHBOR)) requests_.ask(answer.ifindex, answer.next_hop);
    return word;
}

}  // namespace sluice::control
