// SPDX-License-Identifier: Apache-2.0
#include "control/compile/destination_builder.h"

#include <algorithm>
#include <map>

namespace sluice::compile {

namespace {

enum class Kind : u8 { policy, managed, own, service, tunnel };

struct Item {
    PrefixKey prefix;
    Kind kind;
    u32 index;  // policy group, or position in the configuration
    auto operator<=>(const Item&) const = default;
};

std::vector<Item> collect(const config::Config& config, const Environment& environment,
                          const PolicyPrefixes& policy) {
    std::vector<Item> items;
    items.reserve(policy.items().size() + config.services.size());
    for (const auto& [prefix, group] : policy.items()) items.push_back({prefix, Kind::policy, group});
    for (const config::Prefix& prefix : config.policy.managed)
        items.push_back({PrefixKey::of(prefix), Kind::managed, 0});
    for (const LogicalPort& port : environment.ports) {
        for (const config::Address& own : port.addresses) items.push_back({PrefixKey::of(own), Kind::own, 0});
    }
    for (u32 i = 0; i < config.services.size(); ++i) {
        items.push_back({PrefixKey::of(config.services[i].vip), Kind::service, i});
    }
    for (u32 i = 0; i < config.tunnels.size(); ++i) {
        items.push_back({PrefixKey::of(config.tunnels[i].address), Kind::tunnel, i});
    }
    std::sort(items.begin(), items.end());
    return items;
}

Status set_tunnel(Destination& destination, const config::TunnelEndpoint& endpoint) {
    u8 type = 0;
    if (endpoint.type == config::TunnelType::ipip) type = TUNNEL_IPIP;
    if (endpoint.type == config::TunnelType::gue) type = TUNNEL_GUE;
    if (type == 0) return make_error("{}: expected type ipip or gue", endpoint.where.text());
    if (destination.tunnel != 0 && destination.tunnel != type) {
        return make_error("{}: address {}: expected one type for an address", endpoint.where.text(),
                          endpoint.address.text());
    }
    destination.tunnel = type;
    return {};
}

class Builder {
public:
    Builder(const config::Config& config, const Identities& ids, PolicyPrefixes& policy)
        : config_(config), ids_(ids), policy_(policy) {}

    // Attributes of the prefix of `run` inside `destination`, which are changed to it.
    Status apply(std::span<const Item> run, Destination& destination, VipPorts& ports) {
        std::vector<u32> groups;
        std::vector<ServiceAt> services;
        for (const Item& item : run) {
            switch (item.kind) {
                case Kind::policy: groups.push_back(item.index); break;
                case Kind::managed: destination.flags |= DESTINATION_MANAGED; break;
                case Kind::own: destination.flags |= DESTINATION_OWN; break;
                case Kind::service: {
                    const config::Service& service = config_.services[item.index];
                    destination.flags |= DESTINATION_VIP;
                    if (service.answer_echo) destination.flags |= DESTINATION_ECHO;
                    services.push_back({&service, ids_.services.at(service.name)});
                    break;
                }
                case Kind::tunnel:
                    if (Status status = set_tunnel(destination, config_.tunnels[item.index]); !status)
                        return status;
                    break;
            }
        }
        destination.policy = policy_.inside(destination.policy, groups);
        if (services.empty()) return {};
        Result<u32> table = ports.extend(destination.ports, services);
        if (!table) return table.error();
        destination.ports = *table;
        return {};
    }

private:
    const config::Config& config_;
    const Identities& ids_;
    PolicyPrefixes& policy_;
};

}  // namespace

Result<Destinations> build_destinations(const config::Config& config, const Environment& environment,
                                        const Identities& ids, PolicyPrefixes& policy) {
    Destinations out;
    std::map<Destination, u32> known;
    const auto intern = [&](Destination destination) {
        destination.policy = policy.row(destination.policy);
        const auto [at, added] = known.emplace(destination, static_cast<u32>(out.records.size()));
        if (added) out.records.push_back(destination);
        return at->second;
    };
    const Destination uncovered{.policy = policy.base()};
    const u32 none = intern(uncovered);

    Builder builder(config, ids, policy);
    const std::vector<Item> items = collect(config, environment, policy);
    std::vector<LpmItem> prefixes;
    CoverStack<Destination> covers(true);
    for (size_t first = 0, last = 0; first < items.size(); first = last) {
        while (last < items.size() && items[last].prefix == items[first].prefix) ++last;
        const PrefixKey& prefix = items[first].prefix;
        const Destination* parent = covers.find(prefix);
        Destination destination = parent != nullptr ? *parent : uncovered;
        if (Status status = builder.apply(std::span(&items[first], last - first), destination, out.ports);
            !status) {
            return status.error();
        }
        covers.push(prefix, destination);
        prefixes.push_back({prefix, intern(destination)});
    }
    Result<LpmTable> lpm = build_lpm(std::move(prefixes), none);
    if (!lpm) return lpm.error().with_context("destinations");
    out.lpm = std::move(*lpm);
    return out;
}

u32 Destinations::write(ImageWriter& writer) const {
    const std::vector<u32> lines = ports.write(writer);
    std::vector<image_destination> out;
    out.reserve(records.size());
    for (const Destination& destination : records) {
        image_destination record{};
        record.ports = lines[destination.ports];
        record.port_count = static_cast<u16>(ports.claims(destination.ports).size());
        record.policy_row = static_cast<u16>(destination.policy);
        record.flags = destination.flags;
        record.tunnel = destination.tunnel;
        out.push_back(record);
    }
    return writer.add(lines_of(out));
}

}  // namespace sluice::compile
