// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/netlink/local_routes.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include <cstring>

#include "dataplane/io/netlink/route_object.h"

namespace sluice::netlink {

namespace {

struct AddressPut {
    void operator()(nl_addr* address) const { nl_addr_put(address); }
};
using AddressObject = std::unique_ptr<nl_addr, AddressPut>;

LocalPrefix prefix_of(nl_addr* to) {
    LocalPrefix prefix;
    const void* bytes = nl_addr_get_binary_addr(to);
    if (nl_addr_get_family(to) == AF_INET) {
        u32 word = 0;
        std::memcpy(&word, bytes, sizeof word);
        prefix.address = address_from_ipv4_word(word);
        prefix.length = static_cast<std::uint8_t>(96 + nl_addr_get_prefixlen(to));
    } else {
        std::memcpy(&prefix.address, bytes, sizeof prefix.address);
        prefix.length = static_cast<std::uint8_t>(nl_addr_get_prefixlen(to));
    }
    return prefix;
}

Result<std::set<LocalPrefix>> present(nl_sock* socket) {
    std::set<LocalPrefix> found;
    for (const int family : {AF_INET, AF_INET6}) {
        nl_cache* cache = nullptr;
        if (const int error = rtnl_route_alloc_cache(socket, family, 0, &cache); error < 0)
            return make_error("netlink: cannot read the routes: {}", nl_geterror(error));
        for (nl_object* at = nl_cache_get_first(cache); at != nullptr; at = nl_cache_get_next(at)) {
            auto* route = reinterpret_cast<rtnl_route*>(at);
            nl_addr* to = rtnl_route_get_dst(route);
            const bool ours = rtnl_route_get_protocol(route) == route_protocol &&
                              rtnl_route_get_table(route) == RT_TABLE_LOCAL && to != nullptr &&
                              rtnl_route_get_type(route) == RTN_LOCAL && nl_addr_get_len(to) != 0;
            if (ours) found.insert(prefix_of(to));
        }
        nl_cache_free(cache);
    }
    return found;
}

}  // namespace

Result<RouteObject> local_route(const LocalPrefix& prefix, u32 table) {
    const bool v4 = address_is_ipv4(&prefix.address);
    const auto* bytes = reinterpret_cast<const unsigned char*>(&prefix.address);
    AddressObject to(v4 ? nl_addr_build(AF_INET, bytes + 12, 4) : nl_addr_build(AF_INET6, bytes, 16));
    RouteObject route(rtnl_route_alloc());
    rtnl_nexthop* hop = rtnl_route_nh_alloc();
    if (!to || !route || hop == nullptr) return make_error("local route: out of memory");
    nl_addr_set_prefixlen(to.get(), v4 ? prefix.length - 96 : prefix.length);
    rtnl_route_set_family(route.get(), static_cast<uint8_t>(v4 ? AF_INET : AF_INET6));
    rtnl_route_set_dst(route.get(), to.get());
    rtnl_route_set_table(route.get(), table);
    rtnl_route_set_type(route.get(), RTN_LOCAL);
    rtnl_route_set_scope(route.get(), v4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE);
    rtnl_route_set_protocol(route.get(), route_protocol);
    rtnl_route_nh_set_ifindex(hop, static_cast<int>(if_nametoindex("lo")));
    rtnl_route_add_nexthop(route.get(), hop);
    return route;
}

Result<LocalRoutes> LocalRoutes::open() {
    Result<Socket> socket = open_route_socket();
    if (!socket) return socket.error();
    return LocalRoutes(std::move(*socket));
}

Status LocalRoutes::set(const std::set<LocalPrefix>& wanted) {
    Result<std::set<LocalPrefix>> there = present(socket_.get());
    if (!there) return there.error();
    for (const LocalPrefix& prefix : wanted) {
        if (there->contains(prefix)) continue;
        Result<RouteObject> route = local_route(prefix, RT_TABLE_LOCAL);
        if (!route) return route.error();
        const int error = rtnl_route_add(socket_.get(), route->get(), NLM_F_EXCL);
        if (error < 0 && error != -NLE_EXIST)
            return make_error("local route for a proxied service: {}", nl_geterror(error));
    }
    for (const LocalPrefix& prefix : *there) {
        if (wanted.contains(prefix)) continue;
        Result<RouteObject> route = local_route(prefix, RT_TABLE_LOCAL);
        if (!route) return route.error();
        rtnl_route_delete(socket_.get(), route->get(), 0);  // gone already: as it should be
    }
    return {};
}

}  // namespace sluice::netlink
