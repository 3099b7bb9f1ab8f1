// SPDX-License-Identifier: Apache-2.0
#include "control/compile/route_builder.h"

#include <algorithm>
#include <map>
#include <set>

namespace sluice::compile {

namespace {

Result<u8> port_number(const Environment& environment, const config::Mark& where,
                       const std::string& interface) {
    const LogicalPort* port = environment.find(interface);
    if (port == nullptr)
        return make_error("{}: interface \"{}\": expected one of this node", where.text(), interface);
    return port->number;
}

const config::MacAddress* mac_of(const config::Config& config, const config::NextHop& hop) {
    if (hop.mac) return &*hop.mac;
    if (!hop.via) return nullptr;
    const auto at =
        std::find_if(config.neighbors.begin(), config.neighbors.end(), [&](const config::Neighbor& neighbor) {
            return neighbor.address == *hop.via && neighbor.interface == hop.interface;
        });
    return at == config.neighbors.end() ? nullptr : &at->mac;
}

Result<image_next_hop> next_hop_record(const config::Config& config, const Environment& environment,
                                       const config::NextHop& hop, u32 weight_end) {
    const Result<u8> port = port_number(environment, hop.where, hop.interface);
    if (!port) return port.error();
    image_next_hop record{};
    if (hop.via) record.via = to_address(*hop.via);
    if (const config::MacAddress* mac = mac_of(config, hop)) {
        std::copy(mac->bytes.begin(), mac->bytes.end(), record.mac);
        record.has_mac = 1;
    }
    record.port = *port;
    record.weight_end = static_cast<u16>(weight_end);
    return record;
}

using GroupKey = std::vector<
    std::tuple<std::optional<config::Address>, std::optional<config::MacAddress>, std::string, u32>>;

GroupKey key_of(const config::Route& route) {
    GroupKey key;
    for (const config::NextHop& hop : route.next_hops)
        key.emplace_back(hop.via, hop.mac, hop.interface, hop.weight);
    return key;
}

Status check(const config::Route& route) {
    const std::string where = route.where.text();
    if (route.next_hops.empty() || route.next_hops.size() > most_next_hops) {
        return make_error("{}: {} next hops: expected 1 to {}", where, route.next_hops.size(),
                          most_next_hops);
    }
    u64 weight = 0;
    for (const config::NextHop& hop : route.next_hops) weight += hop.weight;
    if (weight == 0 || weight > 65535)
        return make_error("{}: weights add up to {}: expected 1 to 65535", where, weight);
    return {};
}

Result<u32> add_group(const config::Config& config, const Environment& environment,
                      const config::Route& route, Routes& routes) {
    if (Status status = check(route); !status) return status.error();
    image_route_group group{};
    group.first = static_cast<u32>(routes.next_hops.size());
    group.count = static_cast<u16>(route.next_hops.size());
    for (const config::NextHop& hop : route.next_hops) {
        group.total_weight = static_cast<u16>(group.total_weight + hop.weight);
        Result<image_next_hop> record = next_hop_record(config, environment, hop, group.total_weight);
        if (!record) return record.error();
        routes.next_hops.push_back(*record);
    }
    routes.groups.push_back(group);
    return static_cast<u32>(routes.groups.size() - 1);
}

Status add_neighbors(const config::Config& config, const Environment& environment, Routes& routes) {
    for (const config::Neighbor& neighbor : config.neighbors) {
        const Result<u8> port = port_number(environment, neighbor.where, neighbor.interface);
        if (!port) return port.error();
        image_neighbor record{};
        record.address = to_address(neighbor.address);
        std::copy(neighbor.mac.bytes.begin(), neighbor.mac.bytes.end(), record.mac);
        record.port = *port;
        record.used = 1;
        routes.neighbors.push_back(record);
    }
    return {};
}

}  // namespace

Result<Routes> build_routes(const config::Config& config, const Environment& environment) {
    Routes routes;
    std::map<GroupKey, u32> known;
    std::vector<LpmItem> prefixes;
    std::set<config::Prefix> seen;
    for (const config::Route& route : config.routes) {
        if (!seen.insert(route.prefix).second) {
            return make_error("{}: prefix {}: expected each prefix once", route.where.text(),
                              route.prefix.text());
        }
        const auto [at, added] = known.emplace(key_of(route), 0);
        if (added) {
            Result<u32> group = add_group(config, environment, route, routes);
            if (!group) return group.error();
            at->second = *group;
        }
        prefixes.push_back({PrefixKey::of(route.prefix), at->second});
    }
    Result<LpmTable> lpm = build_lpm(std::move(prefixes), no_route);
    if (!lpm) return lpm.error().with_context("routes");
    routes.lpm = std::move(*lpm);
    if (Status status = add_neighbors(config, environment, routes); !status) return status.error();
    return routes;
}

Status write_routes(Routes routes, ImageWriter& writer, image_header& header) {
    if (!routes.groups.empty()) header.flags |= IMAGE_STATIC_ROUTES;
    header.routes = std::move(routes.lpm).write(writer);
    header.route_groups = writer.add(lines_of(routes.groups));
    header.next_hops = writer.add(lines_of(routes.next_hops));
    if (routes.neighbors.empty()) return {};
    header.flags |= IMAGE_STATIC_ROUTES;
    std::vector<u32> hashes;
    for (const image_neighbor& neighbor : routes.neighbors) {
        hashes.push_back(static_cast<u32>(image_hash(&neighbor.address, 0)));
    }
    const auto layout = lay_out_hashes(hashes, IMAGE_LINE / sizeof(image_neighbor));
    if (!layout) return make_error("neighbors: more share one address than a look-up sees: expected fewer");
    Lines lines(layout->lines);
    auto* slots = reinterpret_cast<image_neighbor*>(lines.data());
    for (size_t i = 0; i < routes.neighbors.size(); ++i) slots[layout->slots[i]] = routes.neighbors[i];
    header.neighbors = writer.add(std::move(lines));
    header.neighbor_mask = layout->bucket_mask;
    return {};
}

}  // namespace sluice::compile
