// SPDX-License-Identifier: Apache-2.0
#include "control/compile/maglev.h"

#include <algorithm>
#include <tuple>

#include "dataplane/tables/image.h"

namespace sluice::compile {

namespace {

// A backend's own order of all slots, of which it takes the first free one whenever it has a turn.
struct Permutation {
    u32 next;
    u32 skip;
};

Permutation permutation_of(const RingBackend& backend, u32 size) {
    const u64 offset = image_hash(&backend.address, backend.port);
    const u64 skip = image_hash(&backend.address, backend.port | 1ULL << 32);
    return {static_cast<u32>(offset % size), static_cast<u32>(skip % (size - 1) + 1)};
}

// Turns come at the times (k + 1/2) / weight, k = 0, 1, ...: whenever the ring is full, each backend has had
// its share rounded to the nearest. `order` breaks ties and does not depend on positions.
struct Turn {
    double time;
    u32 order;
    bool operator<(const Turn& other) const {
        return std::tie(time, order) > std::tie(other.time, other.order);
    }
};

}  // namespace

std::vector<u16> build_ring(const std::vector<RingBackend>& backends, u32 size) {
    std::vector<u16> positions;
    for (size_t i = 0; i < backends.size(); ++i) {
        if (backends[i].weight != 0) positions.push_back(static_cast<u16>(i));
    }
    std::vector<u16> ring(size, no_backend);
    if (positions.empty()) return ring;
    const auto identity = [&](u16 position) {
        const RingBackend& b = backends[position];
        return std::tuple(image_hash(&b.address, b.port | 2ULL << 32), b.address.word[0], b.address.word[1],
                          b.port);
    };
    std::sort(positions.begin(), positions.end(), [&](u16 a, u16 b) { return identity(a) < identity(b); });

    std::vector<Permutation> permutations;
    std::vector<Turn> turns;
    for (u32 order = 0; order < positions.size(); ++order) {
        const RingBackend& backend = backends[positions[order]];
        permutations.push_back(permutation_of(backend, size));
        turns.push_back({0.5 / backend.weight, order});
    }
    std::make_heap(turns.begin(), turns.end());
    std::vector<u32> taken(positions.size());
    for (u32 filled = 0; filled < size; ++filled) {
        std::pop_heap(turns.begin(), turns.end());
        Turn& turn = turns.back();
        Permutation& own = permutations[turn.order];
        while (ring[own.next] != no_backend)
            own.next = own.next + own.skip < size ? own.next + own.skip : own.next + own.skip - size;
        ring[own.next] = positions[turn.order];
        turn.time = (++taken[turn.order] + 0.5) / backends[positions[turn.order]].weight;
        std::push_heap(turns.begin(), turns.end());
    }
    return ring;
}

}  // namespace sluice::compile
