// SPDX-License-Identifier: Apache-2.0
#include "control/compile/service_builder.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "dataplane/tables/flow.h"

namespace sluice::compile {

namespace {

std::optional<u8> mode_of(config::Mode mode) {
    switch (mode) {
        case config::Mode::nat: return MODE_NAT;
        case config::Mode::fullnat: return MODE_FULLNAT;
        case config::Mode::dsr_l2: return MODE_DSR_L2;
        case config::Mode::dsr_ipip: return MODE_DSR_IPIP;
        case config::Mode::dsr_gue: return MODE_DSR_GUE;
        case config::Mode::proxy: return MODE_PROXY;
        case config::Mode::dsr_gre: break;
    }
    return std::nullopt;
}

std::optional<u8> hash_of(const config::Service& service) {
    if (service.scheduler == config::Scheduler::source_hash) return HASH_SOURCE;
    switch (service.hash) {
        case config::Hash::five_tuple: return HASH_FIVE_TUPLE;
        case config::Hash::source: return HASH_SOURCE;
        case config::Hash::source_and_port: return HASH_SOURCE_AND_PORT;
        case config::Hash::destination_port: return HASH_DESTINATION_PORT;
        case config::Hash::quic_connection_id: break;
    }
    return std::nullopt;
}

bool is_hashed(config::Scheduler scheduler) {
    return scheduler == config::Scheduler::maglev || scheduler == config::Scheduler::source_hash;
}

image_backend backend_record(const config::Backend& backend, config::BackendState state, u16 id) {
    image_backend record{};
    record.address = to_address(backend.address);
    record.port = backend.port.value_or(0);
    record.id = id;
    if (state == config::BackendState::active) record.flags = BACKEND_UP;
    if (state == config::BackendState::draining) record.flags = BACKEND_DRAINING;
    return record;
}

class Writer {
public:
    Writer(const Identities& ids, const Environment& environment, ImageWriter& image)
        : ids_(ids), environment_(environment), image_(image) {}

    void write_backends(const config::Service& service, image_service& record) {
        const OrderedBackends backends = order_backends(service, environment_, ids_);
        record.backends = image_.add(lines_of(backends.records));
        record.backend_count = static_cast<u16>(backends.records.size());
        write_ring(backends, record);
    }

    RingLines take_lines() { return std::move(lines_); }
    u32 rings() const { return static_cast<u32>(rings_.size()); }

private:
    // Where there is nothing to choose a ring of one entry says the same as one of MAGLEV_SIZE.
    void write_ring(const OrderedBackends& backends, image_service& record) {
        const size_t takers = backends.takers();
        record.ring_size = takers > 1 ? MAGLEV_SIZE : 1;
        const auto [at, added] = rings_.emplace(ring_key(backends.ring), 0);
        if (added) at->second = takers > 1 ? write_large(at->first, backends) : write_single(backends);
        record.ring = at->second;
    }

    u32 write_large(const RingKey& key, const OrderedBackends& backends) {
        const image_line* known = environment_.rings.find(key);
        const u32 line = known != nullptr ? image_.add_copy({known, ring_lines})
                                          : image_.add(lines_of(build_ring(backends.ring, MAGLEV_SIZE)));
        lines_.emplace(key, line);
        return line;
    }

    u32 write_single(const OrderedBackends& backends) {
        const auto& ring = backends.ring;
        const auto only = std::find_if(ring.begin(), ring.end(), [](const auto& b) { return b.weight != 0; });
        const u16 position = only != ring.end() ? static_cast<u16>(only - ring.begin()) : no_backend;
        return image_.add(lines_of(std::vector<u16>{position}));
    }

    const Identities& ids_;
    const Environment& environment_;
    ImageWriter& image_;
    std::map<RingKey, u32> rings_;  // all
    RingLines lines_;
};

void set_tunnel(const config::Tunnel& tunnel, image_service& record) {
    if (tunnel.source4) {
        record.source4 = to_address(tunnel.source4->address);
        record.source4_length = tunnel.source4->length;
    }
    if (tunnel.source6) {
        record.source6 = to_address(tunnel.source6->address);
        record.source6_length = tunnel.source6->length;
    }
    record.tunnel_port = tunnel.port;
}

Result<image_service> service_record(const config::Service& service, bool ambiguous) {
    image_service record{};
    const auto mode = mode_of(service.mode);
    const auto hash = hash_of(service);
    const std::string where = service.where.text();
    if (!mode) return make_error("{}: expected mode nat, fullnat, dsr_l2, dsr_ipip, dsr_gue or proxy", where);
    if (!hash)
        return make_error("{}: expected hash five_tuple, source, source_and_port or destination_port", where);
    if (!is_hashed(service.scheduler) && service.mode != config::Mode::proxy)
        return make_error("{}: expected scheduler maglev or source_hash", where);
    record.mode = *mode;
    record.hash = *hash;
    record.protocol = static_cast<u8>(service.protocol);
    if (service.flow_table) record.flags |= SERVICE_FLOW_TABLE;
    if (*mode == MODE_FULLNAT || ambiguous) record.flags |= SERVICE_ALIAS;
    if (service.tier == config::Tier::af_xdp || service.tier == config::Tier::dpdk)
        record.flags |= SERVICE_ENGINE;
    if (!service.flow_table && (record.flags & SERVICE_ALIAS) != 0) {
        return make_error(
            "{}: flow_table: false: expected true, as a backend's reply alone does not tell which client "
            "and port of {} it belongs to",
            where, service.vip.text());
    }
    set_tunnel(service.tunnel, record);
    return record;
}

}  // namespace

size_t OrderedBackends::takers() const {
    return static_cast<size_t>(
        std::count_if(ring.begin(), ring.end(), [](const auto& b) { return b.weight != 0; }));
}

OrderedBackends order_backends(const config::Service& service, const Environment& environment,
                               const Identities& ids) {
    std::vector<const config::Backend*> ordered;
    for (const config::Backend& backend : service.backends) ordered.push_back(&backend);
    std::sort(ordered.begin(), ordered.end(), [](const config::Backend* a, const config::Backend* b) {
        return std::tie(a->address, a->port) < std::tie(b->address, b->port);
    });
    OrderedBackends out;
    for (const config::Backend* backend : ordered) {
        const BackendKey key = key_of(service, *backend);
        const config::BackendState state = environment.state_of(key, backend->state);
        out.records.push_back(backend_record(*backend, state, ids.backends.at(key)));
        out.weights.push_back(backend->weight);
        const bool takes_flows = state == config::BackendState::active;
        out.ring.push_back(
            {out.records.back().address, out.records.back().port, takes_flows ? backend->weight : 0});
    }
    return out;
}

Result<ServiceTables> write_services(const config::Config& config, const Environment& environment,
                                     const Identities& ids, const Reverse& reverse, PolicyBuilder& policy,
                                     ImageWriter& writer) {
    std::vector<image_service> records(ids.services.bound());
    Writer parts(ids, environment, writer);
    for (size_t i = 0; i < config.services.size(); ++i) {
        const config::Service& service = config.services[i];
        Result<image_service> record = service_record(service, reverse.ambiguous.contains(i));
        if (!record) return record.error();
        record->policy_row = policy.service_row(service.name);
        parts.write_backends(service, *record);
        records[ids.services.at(service.name)] = *record;
    }
    ServiceTables tables;
    tables.line = writer.add(lines_of(records));
    tables.count = static_cast<u32>(records.size());
    tables.rings = parts.rings();
    tables.lines = parts.take_lines();
    return tables;
}

}  // namespace sluice::compile
