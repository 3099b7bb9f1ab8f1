// SPDX-License-Identifier: Apache-2.0
#include "control/compile/backend_patch.h"

#include <algorithm>

#include "control/compile/service_builder.h"

namespace sluice::compile {

namespace {

const image_service& service_of(const image_line* image, u32 id) {
    const auto& header = *reinterpret_cast<const image_header*>(image);
    return reinterpret_cast<const image_service*>(image + header.services)[id];
}

const image_backend* backends_of(const image_line* image, const image_service& service) {
    return reinterpret_cast<const image_backend*>(image + service.backends);
}

bool has_changed(const OrderedBackends& wanted, const image_backend* records) {
    for (size_t i = 0; i < wanted.records.size(); ++i) {
        if (wanted.records[i].flags != records[i].flags) return true;
    }
    return false;
}

bool is_shared(const image_line* image, u32 ring) {
    const auto& header = *reinterpret_cast<const image_header*>(image);
    u32 users = 0;
    for (u32 id = 0; id < header.service_count; ++id) users += service_of(image, id).ring == ring;
    return users > 1;
}

// What the ring in force was made from: who is up by the records takes what the configuration gives.
RingKey key_in_force(const OrderedBackends& backends, const image_backend* records) {
    std::vector<RingBackend> ring = backends.ring;
    for (size_t i = 0; i < ring.size(); ++i)
        ring[i].weight = (records[i].flags & BACKEND_UP) != 0 ? backends.weights[i] : 0;
    return ring_key(ring);
}

}  // namespace

std::optional<std::vector<ServicePatch>> patch_backends(const config::Config& config,
                                                        const Environment& environment, const Identities& ids,
                                                        const image_line* image) {
    std::vector<ServicePatch> patches;
    for (const config::Service& service : config.services) {
        const OrderedBackends wanted = order_backends(service, environment, ids);
        const image_service& record = service_of(image, ids.services.at(service.name));
        const image_backend* records = backends_of(image, record);
        if (!has_changed(wanted, records)) continue;
        if (wanted.takers() < 2 || record.ring_size != MAGLEV_SIZE || is_shared(image, record.ring))
            return std::nullopt;
        ServicePatch patch;
        patch.backends = record.backends;
        for (const image_backend& backend : wanted.records) patch.flags.push_back(backend.flags);
        patch.ring = record.ring;
        patch.entries = build_ring(wanted.ring, MAGLEV_SIZE);
        patch.before = key_in_force(wanted, records);
        patch.after = ring_key(wanted.ring);
        patches.push_back(std::move(patch));
    }
    return patches;
}

void write_patch(const ServicePatch& patch, image_line* image) {
    auto* records = reinterpret_cast<image_backend*>(image + patch.backends);
    for (size_t i = 0; i < patch.flags.size(); ++i)
        __atomic_store_n(&records[i].flags, patch.flags[i], __ATOMIC_RELAXED);
    auto* entries = reinterpret_cast<u16*>(image + patch.ring);
    for (size_t i = 0; i < patch.entries.size(); ++i)
        __atomic_store_n(&entries[i], patch.entries[i], __ATOMIC_RELAXED);
}

}  // namespace sluice::compile
