// SPDX-License-Identifier: Apache-2.0
#include "dataplane/evaluate/learned_table.h"

#include <algorithm>

namespace sluice::evaluate {

namespace {

void set_sets(learned_address& slot, u32 sets) { STORE_RELEASE(&slot.sets, static_cast<u8>(sets)); }

}  // namespace

// Ticks from `now` until nothing of the slot holds any more.
u32 LearnedTable::last_end(const learned_address& slot, u32 now) {
    u32 last = 0;
    const u32 alive = learned_alive(&slot, now);
    for (u32 i = 0; i < FQDN_SETS; ++i) {
        if ((alive >> i & 1) != 0) last = std::max(last, slot.until[i] - now);
    }
    return last;
}

// The slot of `address`, or an empty one for it, at the cost of the one that ends soonest where none is.
learned_address* LearnedTable::place(const struct address& address, u32 now) {
    const u32 first = learned_hash(&address);
    learned_address* best = nullptr;
    for (u32 i = 0; i < LEARNED_PROBES; ++i) {
        learned_address& slot = slots_[(first + i) & (LEARNED_SLOTS - 1)];
        if (slot.sets != 0 && address_equal(&slot.address, &address)) return &slot;
        if (best == nullptr || last_end(slot, now) < last_end(*best, now)) best = &slot;
    }
    if (learned_alive(best, now) != 0) replaced_.add(1);
    set_sets(*best, 0);
    best->address = address;
    return best;
}

void LearnedTable::learn(const struct address& address, u32 sets, u32 until, u32 now) {
    learned_address* const slot = place(address, now);
    const u32 alive = learned_alive(slot, now);
    for (u32 i = 0; i < FQDN_SETS; ++i) {
        if ((sets >> i & 1) == 0) continue;
        const bool longer = (alive >> i & 1) == 0 || until - now > slot->until[i] - now;
        if (longer) __atomic_store_n(&slot->until[i], until, __ATOMIC_RELAXED);
    }
    set_sets(*slot, alive | sets);
}

void LearnedTable::sweep(u32 now) {
    u64 count = 0;
    for (u32 i = 0; i < LEARNED_SLOTS; ++i) {
        if (slots_[i].sets == 0) continue;
        set_sets(slots_[i], learned_alive(&slots_[i], now));
        count += slots_[i].sets != 0;
    }
    count_.set(count);
}

void LearnedTable::forget_sets(u32 sets) {
    for (u32 i = 0; i < LEARNED_SLOTS; ++i) set_sets(slots_[i], slots_[i].sets & ~sets);
}

}  // namespace sluice::evaluate
