// SPDX-License-Identifier: Apache-2.0
//
// Writes the table of learned addresses (tables/learned.h). One thread.
#pragma once

#include "dataplane/base/counter.h"
#include "dataplane/tables/node.h"

namespace sluice::evaluate {

class LearnedTable {
public:
    // `node` outlives the object; what it holds already stays.
    explicit LearnedTable(node_state& node) : slots_(node.learned) {}

    // `address` belongs to `sets` (bit per set) until `until`, or as long as it does already if that is
    // later.
    void learn(const struct address& address, u32 sets, u32 until, u32 now);
    // Empties what has ended; to be called every second, since ticks go round.
    void sweep(u32 now);
    void forget_sets(u32 sets);

    u64 count() const { return count_.get(); }        // as of the last sweep
    u64 replaced() const { return replaced_.get(); }  // live ones that gave way to others

private:
    learned_address* place(const struct address& address, u32 now);
    static u32 last_end(const learned_address& slot, u32 now);

    learned_address* slots_;
    Counter count_, replaced_;
};

}  // namespace sluice::evaluate
