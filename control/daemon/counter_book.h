// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <vector>

#include "control/compile/identities.h"
#include "dataplane/tables/counters.h"

namespace sluice::control {

inline backend_counters operator+(const backend_counters& a, const backend_counters& b) {
    return {{a.to.packets + b.to.packets, a.to.bytes + b.to.bytes},
            {a.from.packets + b.from.packets, a.from.bytes + b.from.bytes},
            a.flows + b.flows};
}
inline backend_counters operator-(const backend_counters& a, const backend_counters& b) {
    return {{a.to.packets - b.to.packets, a.to.bytes - b.to.bytes},
            {a.from.packets - b.from.packets, a.from.bytes - b.from.bytes},
            a.flows - b.flows};
}
inline pair_counters operator+(const pair_counters& a, const pair_counters& b) {
    return {a.packets + b.packets, a.bytes + b.bytes};
}
inline pair_counters operator-(const pair_counters& a, const pair_counters& b) {
    return {a.packets - b.packets, a.bytes - b.bytes};
}

// Counters by number, of things that come and go: a thing that gets a number which another one had starts
// from zero.
template <typename Key, typename Counters>
class CounterBook {
public:
    // The numbers' new owners; `raw` is what the counters read now.
    void rename(const compile::IdTable<Key>& before, const compile::IdTable<Key>& now,
                std::span<const Counters> raw) {
        for (u32 id = 0; id < now.bound(); ++id) {
            const Key* owner = now.name(id);
            const Key* past = before.name(id);
            if (owner == nullptr || (past != nullptr && *past == *owner)) continue;
            base_[id] = id < raw.size() ? raw[id] : Counters{};
        }
    }

    Counters of(u32 id, std::span<const Counters> raw) const {
        if (id >= raw.size()) return {};
        const auto at = base_.find(id);
        return at == base_.end() ? raw[id] : raw[id] - at->second;
    }

private:
    std::map<u32, Counters> base_;
};

}  // namespace sluice::control
