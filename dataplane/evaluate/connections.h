// SPDX-License-Identifier: Apache-2.0
//
// How many connections each source holds under a rule. A connection is held as long as the flow table says
// so: nothing is counted down, entries are looked up again when it matters.
#pragma once

#include <unordered_map>
#include <vector>

#include "dataplane/tables/flow_table.h"

namespace sluice::evaluate {

class Connections {
public:
    // Time in which a connection that was allowed gets its entry; until then it counts without one.
    static constexpr u64 grace_ns = 1'000'000'000;

    // `view`: the flow table; what it points at outlives the object.
    explicit Connections(const struct tables& view) : view_(view) {}

    // Whether the source of `flow` may hold it, with `limit` in all under `rule`; takes note of it if so. One
    // that is held already may go on.
    bool admit(u16 rule, const flow_query& flow, u32 limit, u64 now_ns);

    // Forgets ended ones of a few sources; to be called now and then, so that memory follows the flow table.
    void tidy(u64 now_ns);

    size_t held() const { return held_; }  // ended ones that were not looked at yet included

private:
    static constexpr size_t checks = 64;  // of one source, or sources of one tidy()

    struct Key {
        struct address source;
        u16 rule;
        bool operator==(const Key& other) const {
            return rule == other.rule && address_equal(&source, &other.source);
        }
    };
    struct Hash {
        size_t operator()(const Key& key) const { return image_hash(&key.source, key.rule); }
    };
    struct Held {
        flow_query flow;
        u64 since_ns;
    };
    struct Holder {
        std::vector<Held> flows;
        size_t next = 0;  // to be checked
    };

    bool is_alive(const Held& held, u64 now_ns) const;
    void check(Holder& holder, u64 now_ns);

    struct tables view_;
    std::unordered_map<Key, Holder, Hash> holders_;
    size_t held_ = 0;
    size_t bucket_ = 0;  // that tidy() comes to next
};

}  // namespace sluice::evaluate
