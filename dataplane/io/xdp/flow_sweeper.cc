// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/flow_sweeper.h"

#include <algorithm>

namespace sluice {
namespace {

u8 tag_of(const struct tables& t, u32 index) {
    const u64 tags = __atomic_load_n(t.flow_tags + index / FLOW_BUCKET_SLOTS, __ATOMIC_RELAXED);
    return static_cast<u8>(tags >> (index % FLOW_BUCKET_SLOTS * 8));
}

bool is_alias(const flow& entry) { return (entry.mode & MODE_MASK) == MODE_ALIAS; }

// Copies a slot as it was at one instant. False when it is being written.
bool copy_slot(const struct tables& t, u32 index, flow& copy) {
    const flow* at = t.flows + index;
    const u32 version = LOAD_ACQUIRE(&at->version);
    if (version & 1) return false;
    std::memcpy(&copy, at, sizeof copy);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return LOAD_ACQUIRE(&at->version) == version && copy.version == version;
}

}  // namespace

u64 FlowCensus::total() const {
    u64 sum = aliases;
    for (const u64 count : live) sum += count;
    return sum;
}

// An alias's own time stamp stands still while its flow lives on, so it lives as long as the flow.
bool FlowSweeper::alias_is_orphan(const flow& alias) const {
    if (alias.target >= tables_.node->flow_capacity) return true;
    return LOAD_ACQUIRE(&tables_.flows[alias.target].version) != flow_alias_version(&alias);
}

void FlowSweeper::remove(u32 index, u32 version) {
    flow_place place{index, version, 0, 0};
    flow_ref ref{tables_.flows + index, &place};
    flow_remove(&tables_, &ref);
}

// A writer holds a slot for well under a microsecond. A lock that stays is one whose writer was killed: take
// it over and empty the slot.
void FlowSweeper::look_at_locked(u32 index, u32 version, u32 now) {
    const auto [known, fresh] = stuck_.try_emplace(index, Stuck{version, now});
    if (fresh) return;
    if (known->second.version != version) {
        known->second = {version, now};
        return;
    }
    if (now - known->second.since < repair_after_ticks) return;
    stuck_.erase(known);
    flow* at = tables_.flows + index;
    u32 expected = version;
    if (!__atomic_compare_exchange_n(&at->version, &expected, version + 2, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return;
    flow_place place{index, version + 2, 0, 0};
    flow_ref ref{at, &place};
    flow_withdraw(&tables_, &ref);
    ++repaired_;
}

void FlowSweeper::look_at(u32 index, u32 now) {
    const u32 version = LOAD_ACQUIRE(&tables_.flows[index].version);
    if (version & 1) return look_at_locked(index, version, now);
    if (!stuck_.empty()) stuck_.erase(index);
    if (tag_of(tables_, index) == 0) return;
    flow entry;
    if (!copy_slot(tables_, index, entry)) return;
    if (is_alias(entry)) {
        if (alias_is_orphan(entry)) {
            remove(index, entry.version);
            ++expired_;
        } else {
            ++running_.aliases;
        }
        return;
    }
    if (flow_expired(&tables_, &entry, now)) {
        remove(index, entry.version);
        ++expired_;
        return;
    }
    ++running_.live[entry.state & (STATE_COUNT - 1)];
}

bool FlowSweeper::step(u32 slots, u32 now) {
    const u32 capacity = tables_.node->flow_capacity;
    const u32 end = static_cast<u32>(std::min<u64>(capacity, u64{next_} + slots));
    // Of an empty bucket only a lock can be of interest, and that of a writer that died: seldom worth its
    // eight cache lines.
    const bool thorough = round_ % thorough_rounds == 0 || !stuck_.empty();
    for (; next_ < end; next_ += FLOW_BUCKET_SLOTS) {
        if (!thorough &&
            __atomic_load_n(tables_.flow_tags + next_ / FLOW_BUCKET_SLOTS, __ATOMIC_RELAXED) == 0)
            continue;
        for (u32 i = 0; i < FLOW_BUCKET_SLOTS; ++i) look_at(next_ + i, now);
    }
    if (next_ < capacity) return false;
    next_ = 0;
    ++round_;
    census_ = running_;
    running_ = {};
    return true;
}

u64 FlowSweeper::remove_backends(const std::function<bool(u16 id)>& gone) {
    u64 removed = 0;
    for (u32 index = 0; index < tables_.node->flow_capacity; ++index) {
        if (tag_of(tables_, index) == 0) continue;
        flow entry;
        if (!copy_slot(tables_, index, entry) || is_alias(entry) || entry.backend == 0) continue;
        if (!gone(static_cast<u16>(entry.backend - 1))) continue;
        remove(index, entry.version);
        ++removed;
    }
    return removed;
}

void FlowSweeper::for_each(
    const std::function<void(const flow&, const flow_addresses&, const flow_counters&)>& visit) const {
    for (u32 index = 0; index < tables_.node->flow_capacity; ++index) {
        if (tag_of(tables_, index) == 0) continue;
        flow entry;
        if (!copy_slot(tables_, index, entry) || is_alias(entry)) continue;
        const flow_addresses addresses = tables_.flow_addresses[index];
        const flow_counters counters = tables_.flow_counters[index];
        if (LOAD_ACQUIRE(&tables_.flows[index].version) == entry.version) visit(entry, addresses, counters);
    }
}

}  // namespace sluice
