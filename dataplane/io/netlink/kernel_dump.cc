// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/netlink/kernel_dump.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/vlan.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include <cstring>
#include <functional>

namespace sluice::netlink {

namespace {

struct CacheFree {
    void operator()(nl_cache* cache) const { nl_cache_free(cache); }
};
using Cache = std::unique_ptr<nl_cache, CacheFree>;

// libnl's own error numbers, which are no errno.
Error nl_error(int code, std::string_view what) {
    return {fmt::format("netlink: {}: {}", what, nl_geterror(code)), 0};
}

// Binary address of 4 or 16 bytes into the mapped space; all zero for anything else.
std::array<std::uint64_t, 2> words_of(const nl_addr* addr) {
    struct address out {};
    if (addr == nullptr) return {};
    const void* bytes = nl_addr_get_binary_addr(addr);
    const unsigned length = nl_addr_get_len(addr);
    if (length == 16) {
        std::memcpy(out.word, bytes, 16);
    } else if (length == 4) {
        be32 wire{};
        std::memcpy(&wire, bytes, 4);
        out = address_from_ipv4(wire);
    }
    return {out.word[0], out.word[1]};
}

Mac mac_of(nl_addr* addr) {
    Mac mac{};
    if (addr != nullptr && nl_addr_get_len(addr) == mac.size())
        std::memcpy(mac.data(), nl_addr_get_binary_addr(addr), mac.size());
    return mac;
}

// Calls `take` with every object of the cache, cast to its kind.
template <typename Object>
void for_each(nl_cache* cache, const std::function<void(Object*)>& take) {
    for (nl_object* object = nl_cache_get_first(cache); object != nullptr; object = nl_cache_get_next(object))
        take(reinterpret_cast<Object*>(object));
}

void take_hop(rtnl_nexthop* from, Route& route) {
    constexpr unsigned unusable = RTNH_F_DEAD | RTNH_F_LINKDOWN;
    if ((rtnl_route_nh_get_flags(from) & unusable) != 0) return;
    nl_addr* via = rtnl_route_nh_get_gateway(from);
    if (via == nullptr) via = rtnl_route_nh_get_via(from);
    Hop hop;
    hop.ifindex = static_cast<std::uint32_t>(rtnl_route_nh_get_ifindex(from));
    hop.via = words_of(via);
    hop.weight = std::uint32_t{rtnl_route_nh_get_weight(from)} + 1;  // the wire's rtnh_hops is one less
    route.hops.push_back(hop);
}

RouteKind kind_of(unsigned type) {
    if (type == RTN_UNICAST) return RouteKind::unicast;
    return type == RTN_THROW ? RouteKind::next_table : RouteKind::refused;
}

void take_route(rtnl_route* from, std::vector<Route>& routes) {
    const std::uint32_t table = rtnl_route_get_table(from);
    const int family = rtnl_route_get_family(from);
    if ((table != RT_TABLE_LOCAL && table != RT_TABLE_MAIN) || (family != AF_INET && family != AF_INET6))
        return;
    if ((rtnl_route_get_flags(from) & RTM_F_CLONED) != 0) return;
    nl_addr* prefix = rtnl_route_get_dst(from);
    Route route;
    route.ipv4 = family == AF_INET;
    route.length = static_cast<std::uint8_t>(nl_addr_get_prefixlen(prefix) + (route.ipv4 ? 96U : 0U));
    route.prefix = words_of(prefix);
    if (nl_addr_get_len(prefix) == 0 && route.ipv4)
        route.prefix = {0, ADDRESS_IPV4_PREFIX};  // the default route
    route.local_table = table == RT_TABLE_LOCAL;
    route.kind = kind_of(rtnl_route_get_type(from));
    route.metric = rtnl_route_get_priority(from);
    rtnl_route_foreach_nexthop(
        from, [](rtnl_nexthop* hop, void* to) { take_hop(hop, *static_cast<Route*>(to)); }, &route);
    if (route.kind == RouteKind::unicast && route.hops.empty()) return;  // every link of it is down
    routes.push_back(std::move(route));
}

}  // namespace

void SocketClose::operator()(nl_sock* socket) const { nl_socket_free(socket); }

Result<Socket> open_route_socket() {
    Socket socket(nl_socket_alloc());
    if (!socket) return make_error("netlink: out of memory");
    if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0)
        return nl_error(error, "cannot open a socket");
    return socket;
}

Result<std::vector<Link>> dump_links(nl_sock* socket) {
    nl_cache* got = nullptr;
    if (const int error = rtnl_link_alloc_cache(socket, AF_UNSPEC, &got); error < 0)
        return nl_error(error, "cannot read the links");
    const Cache cache(got);
    std::vector<Link> links;
    for_each<rtnl_link>(cache.get(), [&](rtnl_link* from) {
        constexpr unsigned running = IFF_UP | IFF_RUNNING;
        Link link;
        link.ifindex = static_cast<std::uint32_t>(rtnl_link_get_ifindex(from));
        if (const char* name = rtnl_link_get_name(from)) link.name = name;
        link.mac = mac_of(rtnl_link_get_addr(from));
        link.mtu = rtnl_link_get_mtu(from);
        const char* kind = rtnl_link_get_type(from);
        link.veth = kind != nullptr && std::string_view(kind) == "veth";
        link.up = (rtnl_link_get_flags(from) & running) == running;
        if (rtnl_link_is_vlan(from) != 0) {
            link.parent = static_cast<std::uint32_t>(rtnl_link_get_link(from));
            link.vlan = static_cast<std::uint16_t>(rtnl_link_vlan_get_id(from));
        }
        links.push_back(std::move(link));
    });
    return links;
}

Result<std::vector<OwnAddress>> dump_addresses(nl_sock* socket) {
    nl_cache* got = nullptr;
    if (const int error = rtnl_addr_alloc_cache(socket, &got); error < 0)
        return nl_error(error, "cannot read the addresses");
    const Cache cache(got);
    std::vector<OwnAddress> addresses;
    for_each<rtnl_addr>(cache.get(), [&](rtnl_addr* from) {
        const int family = rtnl_addr_get_family(from);
        if (family != AF_INET && family != AF_INET6) return;
        OwnAddress own;
        own.ifindex = static_cast<std::uint32_t>(rtnl_addr_get_ifindex(from));
        own.address = words_of(rtnl_addr_get_local(from));
        own.length = static_cast<std::uint8_t>(rtnl_addr_get_prefixlen(from) + (family == AF_INET ? 96 : 0));
        addresses.push_back(own);
    });
    return addresses;
}

Result<std::vector<Route>> dump_routes(nl_sock* socket) {
    nl_cache* got = nullptr;
    if (const int error = rtnl_route_alloc_cache(socket, AF_UNSPEC, 0, &got); error < 0)
        return nl_error(error, "cannot read the routes");
    const Cache cache(got);
    std::vector<Route> routes;
    for_each<rtnl_route>(cache.get(), [&](rtnl_route* from) { take_route(from, routes); });
    return routes;
}

Result<std::vector<Neighbor>> dump_neighbors(nl_sock* socket) {
    nl_cache* got = nullptr;
    if (const int error = rtnl_neigh_alloc_cache(socket, &got); error < 0)
        return nl_error(error, "cannot read the neighbours");
    const Cache cache(got);
    std::vector<Neighbor> neighbors;
    for_each<rtnl_neigh>(cache.get(), [&](rtnl_neigh* from) {
        constexpr int confirmed = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_DELAY;
        const int family = rtnl_neigh_get_family(from);
        const int state = rtnl_neigh_get_state(from);
        if ((family != AF_INET && family != AF_INET6) || (state & (confirmed | NUD_STALE)) == 0) return;
        nl_addr* mac = rtnl_neigh_get_lladdr(from);
        if (mac == nullptr || nl_addr_get_len(mac) != std::tuple_size_v<Mac>) return;
        Neighbor neighbor;
        neighbor.ifindex = static_cast<std::uint32_t>(rtnl_neigh_get_ifindex(from));
        neighbor.address = words_of(rtnl_neigh_get_dst(from));
        neighbor.mac = mac_of(mac);
        neighbor.stale = state == NUD_STALE;
        neighbors.push_back(neighbor);
    });
    return neighbors;
}

Status solicit_neighbor(nl_sock* socket, std::uint32_t ifindex, const struct address& address) {
    const bool ipv4 = address_is_ipv4(&address);
    const be32 wire = address_to_ipv4(&address);
    const void* bytes = ipv4 ? static_cast<const void*>(&wire) : address.word;
    nl_addr* destination = nl_addr_build(ipv4 ? AF_INET : AF_INET6, bytes, ipv4 ? 4 : 16);
    rtnl_neigh* neighbor = rtnl_neigh_alloc();
    rtnl_neigh_set_ifindex(neighbor, static_cast<int>(ifindex));
    rtnl_neigh_set_dst(neighbor, destination);
    rtnl_neigh_set_state(neighbor, NUD_NONE);
    rtnl_neigh_set_flags(neighbor, NTF_USE);
    const int error = rtnl_neigh_add(socket, neighbor, NLM_F_CREATE);
    rtnl_neigh_put(neighbor);
    nl_addr_put(destination);
    if (error < 0) return nl_error(error, "cannot ask for a neighbour");
    return {};
}

}  // namespace sluice::netlink
