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

// A ring that fills: whoever has a turn takes the next slot of its permutation that is free.
class Filling {
public:
    Filling(const std::vector<RingBackend>& backends, u32 size)
        : backends_(backends), size_(size), ring_(size, no_backend) {
        for (size_t i = 0; i < backends.size(); ++i) {
            if (backends[i].weight != 0) positions_.push_back(static_cast<u16>(i));
        }
        std::sort(positions_.begin(), positions_.end(),
                  [&](u16 a, u16 b) { return identity(a) < identity(b); });
        for (const u16 position : positions_)
            permutations_.push_back(permutation_of(backends[position], size));
    }

    bool is_nobodys() const { return positions_.empty(); }
    bool is_equal() const {
        for (u32 order = 1; order < positions_.size(); ++order)
            if (weight(order) != weight(0)) return false;
        return true;
    }

    // Of equals turns come round in order, and no heap has to tell.
    void fill_in_order() {
        const auto count = static_cast<u32>(positions_.size());
        for (u32 filled = 0; filled < size_; ++filled) place(filled % count);
    }

    void fill_by_weight() {
        std::vector<Turn> turns;
        for (u32 order = 0; order < positions_.size(); ++order) turns.push_back({0.5 / weight(order), order});
        std::make_heap(turns.begin(), turns.end());
        std::vector<u32> taken(positions_.size());
        for (u32 filled = 0; filled < size_; ++filled) {
            std::pop_heap(turns.begin(), turns.end());
            Turn& turn = turns.back();
            place(turn.order);
            turn.time = (++taken[turn.order] + 0.5) / weight(turn.order);
            std::push_heap(turns.begin(), turns.end());
        }
    }

    std::vector<u16> take() { return std::move(ring_); }

private:
    std::tuple<u64, u64, u64, u16> identity(u16 position) const {
        const RingBackend& b = backends_[position];
        return {image_hash(&b.address, b.port | 2ULL << 32), b.address.word[0], b.address.word[1], b.port};
    }
    u32 weight(u32 order) const { return backends_[positions_[order]].weight; }

    void place(u32 order) {
        Permutation& own = permutations_[order];
        while (ring_[own.next] != no_backend)
            own.next = own.next + own.skip < size_ ? own.next + own.skip : own.next + own.skip - size_;
        ring_[own.next] = positions_[order];
    }

    const std::vector<RingBackend>& backends_;
    const u32 size_;
    std::vector<u16> ring_;
    std::vector<u16> positions_;  // of those with a weight, by their identities
    std::vector<Permutation> permutations_;
};

}  // namespace

std::vector<u16> build_ring(const std::vector<RingBackend>& backends, u32 size) {
    Filling filling(backends, size);
    if (!filling.is_nobodys()) filling.is_equal() ? filling.fill_in_order() : filling.fill_by_weight();
    return filling.take();
}

}  // namespace sluice::compile
