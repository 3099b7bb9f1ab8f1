// SPDX-License-Identifier: Apache-2.0
#include "control/config/schema.h"

namespace sluice::config {

namespace {

const Schema<NextHop>& next_hop_schema() {
    static const auto schema =
        Schema<NextHop>("One of a route's next hops, chosen by the flow's hash.")
            .key("via", &NextHop::via, optional(address()), none, "the gateway; without it directly attached")
            .key("mac", &NextHop::mac, optional(mac_address()), none, "its MAC; without it by `neighbors`")
            .key("interface", &NextHop::interface, interface_name(), required, "where the packet leaves")
            .key("weight", &NextHop::weight, integer<uint32_t>(1, 255), "1", "share of the flows");
    return schema;
}

const Schema<Bypass>& bypass_schema() {
    static const auto schema =
        Schema<Bypass>("Traffic that is not intercepted.")
            .key("destinations", &Bypass::destinations, list(prefix()), "[]", "to these")
            .key("ports", &Bypass::ports, ranges("ports", 0, 65535, true), none, "to these ports")
            .key("sources", &Bypass::sources, list(prefix()), "[]", "from these");
    return schema;
}

}  // namespace

const Schema<TunnelEndpoint>& tunnel_endpoint_schema() {
    static const auto schema =
        Schema<TunnelEndpoint>(
            "Decapsulate what is addressed here; the inner packet starts the pipeline again, once.")
            .key("type", &TunnelEndpoint::type,
                 one_of<TunnelType>({{"ipip", TunnelType::ipip},
                                     {"gue", TunnelType::gue},
                                     {"gre", TunnelType::gre},
                                     {"vxlan", TunnelType::vxlan}}),
                 required, "the encapsulation; ipip takes 4in4, 4in6, 6in4 and 6in6")
            .key("address", &TunnelEndpoint::address, address(), required, "the outer destination");
    return schema;
}

const Schema<Interception>& interception_schema() {
    static const auto schema =
        Schema<Interception>(
            "TCP connections that arrive at the node, leave it or pass through it are taken by the proxy, "
            "which goes on to where they were going.")
            .key("enabled", &Interception::enabled, boolean(), "false", "whether it is done")
            .key("inbound", &Interception::inbound, integer<uint16_t>(1, 65535), "4143",
                 "the proxy's port for connections from outside")
            .key("outbound", &Interception::outbound, integer<uint16_t>(1, 65535), "4140",
                 "the proxy's port for connections to outside")
            .key("transparent", &Interception::transparent, boolean(), "false",
                 "what arrives goes on under its client's address, not the node's")
            .key("bypass", &Interception::bypass, mapping(bypass_schema()), none, "exceptions");
    return schema;
}

const Schema<Route>& route_schema() {
    static const auto schema =
        Schema<Route>(
            "A route, only where the kernel's tables do not serve: replay, a DPDK port without a host path. "
            "Either `interface` (with `via`, `mac`) or `next_hops` is given.")
            .key("prefix", &Route::prefix, prefix(), required, "destinations")
            .key("via", &Route::via, optional(address()), none, "the gateway; without it directly attached")
            .key("mac", &Route::mac, optional(mac_address()), none,
                 "the next hop's MAC; without it by `neighbors`")
            .key("interface", &Route::interface, interface_name(), none, "where the packet leaves")
            .key("next_hops", &Route::next_hops, list(mapping(next_hop_schema()), Empty::refused), none,
                 "several, by the flow's hash");
    return schema;
}

const Schema<Neighbor>& neighbor_schema() {
    static const auto schema =
        Schema<Neighbor>("The MAC of a directly attached address, where the kernel does not know it.")
            .key("address", &Neighbor::address, address(), required, "its address")
            .key("mac", &Neighbor::mac, mac_address(), required, "its MAC")
            .key("interface", &Neighbor::interface, interface_name(), required, "where it is attached");
    return schema;
}

}  // namespace sluice::config
