// SPDX-License-Identifier: Apache-2.0
#include "control/replay/offline_node.h"

#include <algorithm>

#include "dataplane/tables/image_lookup.h"

namespace sluice::replay {

namespace {

constexpr u16 default_mtu = 1500;
constexpr u32 rule_ids = POLICY_MAX_WORDS * 64u;
constexpr u16 nat_port_first = 1024;
constexpr u16 nat_port_last = 32767;
constexpr u64 fixed_seed = 0x5eed'5eed'5eed'5eedULL;  // the same capture gives the same bytes

void set_addresses(const config::Interface* interface, node_port& port, compile::LogicalPort& logical) {
    if (interface == nullptr || !interface->addresses) return;
    for (const config::InterfaceAddress& own : *interface->addresses) {
        logical.addresses.push_back(own.address);
        const struct address a = compile::to_address(own.address);
        if (own.address.is_v4() && port.address4.raw == 0) port.address4 = address_to_ipv4(&a);
        if (!own.address.is_v4() && (port.address6.word[0] | port.address6.word[1]) == 0) port.address6 = a;
    }
}

const config::Interface* find_interface(const config::Config& config, const std::string& name) {
    const auto at = std::find_if(config.interfaces.begin(), config.interfaces.end(),
                                 [&](const config::Interface& one) { return one.name == name; });
    return at == config.interfaces.end() ? nullptr : &*at;
}

void add_port(OfflinePorts& out, node_port port, const std::string& name,
              const config::Interface* interface) {
    compile::LogicalPort logical{name, static_cast<u8>(out.ports.size()), port.vlan, {}};
    set_addresses(interface, port, logical);
    out.names.push_back(name);
    out.ports.push_back(port);
    out.environment.ports.push_back(std::move(logical));
}

}  // namespace

Result<OfflinePorts> OfflinePorts::of(const config::Config& config) {
    OfflinePorts out;
    out.names.emplace_back();
    out.ports.emplace_back();
    for (const config::Interface& interface : config.interfaces) {
        if (interface.is_sub_interface()) continue;
        node_port port{};
        port.device = static_cast<u8>(out.ports.size());
        port.ifindex = port.device;
        port.mtu = static_cast<u16>(std::min<u32>(interface.mtu.value_or(default_mtu), 65535));
        port.flags = interface.promiscuous ? PORT_PROMISCUOUS : 0;
        if (interface.mac)
            std::copy(interface.mac->bytes.begin(), interface.mac->bytes.end(), port.mac);
        else
            port.flags |= PORT_ANY_MAC;
        add_port(out, port, interface.name, &interface);
        for (const u16 tag : interface.vlan) {
            const std::string name = fmt::format("{}.{}", interface.name, tag);
            port.vlan = tag;
            add_port(out, port, name, find_interface(config, name));
        }
        if (out.ports.size() > NODE_PORTS) {
            return make_error("interfaces: {} with their VLANs: expected at most {}", out.ports.size() - 1,
                              NODE_PORTS - 1);
        }
    }
    return out;
}

std::optional<u32> OfflinePorts::find(std::string_view name) const {
    const auto at = std::find(names.begin() + 1, names.end(), name);
    if (at == names.end()) return std::nullopt;
    return static_cast<u32>(at - names.begin());
}

void OfflineRouter::follow(const compile::Snapshot& snapshot, const config::Config& config) {
    snapshot_ = &snapshot;
    gateways_.clear();
    for (const config::Route& route : config.routes) {
        for (const config::NextHop& hop : route.next_hops) {
            if (hop.via) gateways_.insert(*hop.via);
        }
    }
}

u32 OfflineRouter::route(const pipeline_context&, const struct address& to, next_hop&) {
    struct tables view {};
    view.image = snapshot_->lines.data();
    view.image_lines = static_cast<u32>(snapshot_->lines.size());
    const image_lpm& routes = snapshot_->header().routes;
    config::Address gateway;
    std::memcpy(gateway.bytes.data(), &to, sizeof to);
    const bool routed = image_lpm_find(&view, &routes, &to) != routes.none || gateways_.contains(gateway);
    return drop(routed ? REASON_NO_NEIGHBOR : REASON_NO_ROUTE);
}

Result<std::unique_ptr<OfflineNode>> OfflineNode::create(const config::Config& config,
                                                         const EngineOptions& options) {
    std::unique_ptr<OfflineNode> node(new OfflineNode);
    Result<OfflinePorts> ports = OfflinePorts::of(config);
    if (!ports) return ports.error();
    node->ports_ = std::move(*ports);
    if (Status status = node->own_tables(config); !status) return status.error();
    if (Status status = node->start(config, options); !status) return status.error();
    return node;
}

Result<std::unique_ptr<OfflineNode>> OfflineNode::create(const config::Config& config, OfflinePorts ports,
                                                         XdpDataplane& dataplane) {
    std::unique_ptr<OfflineNode> node(new OfflineNode);
    node->ports_ = std::move(ports);
    node->dataplane_ = &dataplane;
    node->node_ = &dataplane.node();
    dataplane.maps().fill(node->tables_);
    if (Status status = node->start(config, {}); !status) return status.error();
    return node;
}

Status OfflineNode::own_tables(const config::Config& config) {
    Result<TableMemory> memory =
        TableMemory::create({config.tables.flows, config.tables.sources, config.tables.backends, rule_ids});
    if (!memory) return memory.error();
    memory_ = std::make_unique<TableMemory>(std::move(*memory));
    memory_->fill(tables_);
    node_ = &memory_->node();
    PortTable table(*node_);
    for (size_t number = 1; number < ports_.ports.size(); number++) {
        Status status = table.set(static_cast<u8>(number), ports_.ports[number]);
        if (!status) return status.error().with_context(ports_.names[number]);
    }
    return {};
}

// Once the tables are there.
Status OfflineNode::start(const config::Config& config, const EngineOptions& options) {
    Result<WorkerCounters> counters = WorkerCounters::create(config.tables.backends, rule_ids);
    if (!counters) return counters.error();
    counters_ = std::make_unique<WorkerCounters>(std::move(*counters));
    counters_->fill(tables_);
    tables_.scratch = FLOW_SCRATCH - 1;  // the lower ones are the CPUs', in the XDP program
    node_->flow_seed = fixed_seed;
    node_->nat_port_first = nat_port_first;
    node_->nat_port_count = nat_port_last - nat_port_first + 1;
    EngineOptions chosen = options;
    chosen.fragments = config.tables.fragments;
    chosen.waiting_neighbors = 0;
    engine_ = std::make_unique<Engine>(tables_, router_, chosen);
    return reload(config);
}

Status OfflineNode::reload(const config::Config& config) {
    compile::Environment environment = ports_.environment;
    environment.generation = snapshot_ != nullptr ? snapshot_->generation + 1 : 1;
    Result<compile::Snapshot> compiled =
        compile::compile(config, environment, snapshot_ != nullptr ? &snapshot_->identities : nullptr);
    if (!compiled) return compiled.error();
    auto next = std::make_unique<compile::Snapshot>(std::move(*compiled));
    router_.follow(*next, config);
    engine_->set_image(next->lines.data());
    std::copy(next->timeouts.begin(), next->timeouts.end(), node_->timeout);
    if (dataplane_ != nullptr) {
        const auto published = dataplane_->publish(next->lines, next->generation, next->interests.destination,
                                                   next->interests.source);
        if (!published) return published.error();
    } else {
        node_->destination = next->interests.destination;
        node_->source = next->interests.source;
        node_->generation = next->generation;
    }
    snapshot_ = std::move(next);
    return {};
}

void OfflineNode::set_station(const u8* mac) {
    for (node_port& port : node().ports) {
        if (port.flags & PORT_ANY_MAC) std::copy(mac, mac + 6, port.mac);
    }
}

}  // namespace sluice::replay
