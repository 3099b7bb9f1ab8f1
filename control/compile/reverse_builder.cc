// SPDX-License-Identifier: Apache-2.0
#include "control/compile/reverse_builder.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "control/compile/prefix.h"

namespace sluice::compile {

namespace {

// A kept port gets a record of its own for up to so many ports of a service; beyond, one record stands for
// all ports of the backend that have none.
constexpr u32 most_listed_ports = 64;

u32 port_count(const config::ServicePorts& ports) {
    if (ports.any) return 65536;
    u32 count = 0;
    for (const config::PortRange& range : ports.ranges) count += range.hi - range.lo + 1U;
    return count;
}

// Does one record stand for all the ports of this backend?
bool takes_all_ports(const config::Service& service, const config::Backend& backend) {
    return !backend.port && port_count(service.ports) > most_listed_ports;
}

struct BackendSide {
    config::Protocol protocol;
    config::Address address;
    auto operator<=>(const BackendSide&) const = default;
};

// Ports of a backend that a service leads to.
struct Use {
    u32 first;
    u32 last;
    size_t service;
    bool operator<(const Use& other) const {
        return std::tie(first, last, service) < std::tie(other.first, other.last, other.service);
    }
};

using Uses = std::map<BackendSide, std::vector<Use>>;

void add_uses(const config::Service& service, size_t position, Uses& uses) {
    for (const config::Backend& backend : service.backends) {
        std::vector<Use>& list = uses[{service.protocol, backend.address}];
        if (backend.port) {
            list.push_back({*backend.port, *backend.port, position});
        } else if (takes_all_ports(service, backend)) {
            list.push_back({0, 65535, position});
        } else {
            for (const config::PortRange& range : service.ports.ranges)
                list.push_back({range.lo, range.hi, position});
        }
    }
}

void mark_overlaps(std::vector<Use>& uses, std::set<size_t>& ambiguous) {
    std::sort(uses.begin(), uses.end());
    const Use* farthest = nullptr;
    for (const Use& use : uses) {
        if (farthest != nullptr && use.first <= farthest->last) {
            ambiguous.insert(use.service);
            ambiguous.insert(farthest->service);
        }
        if (farthest == nullptr || use.last > farthest->last) farthest = &use;
    }
}

bool is_clear_alone(const config::Service& service) {
    if (!service.vip.is_host()) return false;
    const bool some_fixed =
        std::any_of(service.backends.begin(), service.backends.end(),
                    [](const config::Backend& backend) { return backend.port.has_value(); });
    return !some_fixed || port_count(service.ports) == 1;
}

void add_records(const config::Service& service, u16 id, std::vector<image_reverse>& records) {
    for (const config::Backend& backend : service.backends) {
        image_reverse record{};
        record.backend = to_address(backend.address);
        record.vip = to_address(service.vip.address);
        record.protocol = static_cast<u8>(service.protocol);
        record.used = 1;
        record.service = id;
        if (takes_all_ports(service, backend)) {
            records.push_back(record);
            continue;
        }
        for (const config::PortRange& range : service.ports.ranges) {
            for (u32 port = range.lo; port <= range.hi; ++port) {
                record.port = backend.port.value_or(static_cast<u16>(port));
                record.vip_port = static_cast<u16>(port);
                records.push_back(record);
            }
        }
    }
}

}  // namespace

Reverse find_reverse(const config::Config& config, const Identities& ids) {
    Reverse out;
    Uses uses;
    for (size_t i = 0; i < config.services.size(); ++i) {
        const config::Service& service = config.services[i];
        if (service.mode != config::Mode::nat) continue;
        if (!is_clear_alone(service)) out.ambiguous.insert(i);
        add_uses(service, i, uses);
    }
    for (auto& [side, list] : uses) mark_overlaps(list, out.ambiguous);
    for (size_t i = 0; i < config.services.size(); ++i) {
        const config::Service& service = config.services[i];
        if (service.mode != config::Mode::nat || out.ambiguous.contains(i)) continue;
        add_records(service, ids.services.at(service.name), out.records);
    }
    return out;
}

Result<ReverseTable> write_reverse(const std::vector<image_reverse>& records, ImageWriter& writer) {
    if (records.empty()) return ReverseTable{};
    std::vector<u32> hashes;
    for (const image_reverse& record : records) {
        hashes.push_back(
            static_cast<u32>(image_hash(&record.backend, reverse_key(record.port, record.protocol))));
    }
    const auto layout = lay_out_hashes(hashes, 1);
    if (!layout)
        return make_error("services: more than {} backends share a hash: expected fewer", +PROBE_LINES);
    Lines lines(layout->lines);
    for (size_t i = 0; i < records.size(); ++i)
        std::memcpy(&lines[layout->slots[i]], &records[i], sizeof records[i]);
    return ReverseTable{writer.add(std::move(lines)), layout->bucket_mask};
}

}  // namespace sluice::compile
