// SPDX-License-Identifier: Apache-2.0
#include "control/config/validate.h"

#include <set>
#include <tuple>

namespace sluice::config {

namespace {

constexpr std::string_view declared = "the name of an interface under interfaces";
constexpr std::string_view same_family = "an address of the prefix's family";

void check_next_hops(const Config& config, const Route& route, Checker& check) {
    std::set<std::pair<std::string_view, std::optional<Address>>> seen;
    for (const NextHop& hop : route.next_hops) {
        if (!names_interface(config, hop.interface)) check.wrong(hop.where, "interface", declared);
        if (hop.via && hop.via->is_v4() != route.prefix.is_v4()) check.wrong(hop.where, "via", same_family);
        if (!seen.emplace(hop.interface, hop.via).second)
            check.wrong_here(hop.where, "expected each next hop once");
    }
}

void check_single(const Config& config, const Route& route, Checker& check) {
    if (!names_interface(config, route.interface)) check.wrong(route.where, "interface", declared);
    if (route.via && route.via->is_v4() != route.prefix.is_v4()) check.wrong(route.where, "via", same_family);
}

void check_routes(const Config& config, Checker& check) {
    std::set<Prefix> prefixes;
    for (const Route& route : config.routes) {
        if (!prefixes.insert(route.prefix).second) {
            check.wrong(route.where, "prefix", "each prefix once (several next hops go under next_hops)");
        }
        if (route.next_hops.empty()) {
            check_single(config, route, check);
            continue;
        }
        for (const std::string_view key : {"via", "mac", "interface"}) {
            if (check.given(route.where, key)) check.wrong(route.where, key, "either this or next_hops");
        }
        check_next_hops(config, route, check);
    }
}

}  // namespace

void validate_forwarding(const Config& config, Checker& check) {
    check_routes(config, check);
    std::set<std::pair<Address, std::string_view>> neighbors;
    for (const Neighbor& neighbor : config.neighbors) {
        if (!names_interface(config, neighbor.interface)) check.wrong(neighbor.where, "interface", declared);
        if (!neighbors.emplace(neighbor.address, neighbor.interface).second) {
            check.wrong(neighbor.where, "address", "each address once on an interface");
        }
    }
    std::set<std::pair<Address, TunnelType>> endpoints;
    for (const TunnelEndpoint& endpoint : config.tunnels) {
        if (!endpoints.emplace(endpoint.address, endpoint.type).second) {
            check.wrong(endpoint.where, "address", "each address once for a type");
        }
    }
    if (config.interception.inbound == config.interception.outbound) {
        Mark where;
        where.path = "interception";
        check.wrong(where, "outbound", "a port other than that for inbound");
    }
}

}  // namespace sluice::config
