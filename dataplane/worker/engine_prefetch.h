// SPDX-License-Identifier: Apache-2.0
//
// What is asked of memory before it is needed. Inlined by force: GCC 12 takes a function that only prefetches
// for one without effect and drops its calls.
#pragma once

#include "dataplane/tables/flow_table.h"

namespace sluice {

constexpr size_t cache_line = 64;

// Both buckets' tags.
[[gnu::always_inline]] inline void prefetch_tags(const tables& t, u64 hash) {
    const u32 mask = t.node->flow_bucket_mask;
    __builtin_prefetch(flow_tags_at(&t, flow_bucket_first(hash, mask)));
    __builtin_prefetch(flow_tags_at(&t, flow_bucket_second(hash, mask)));
}

// Every fourth entry lies across two lines.
[[gnu::always_inline]] inline void prefetch_counters(const tables& t, u32 index) {
    const flow_counters* counters = flow_counters_at(&t, index);
    __builtin_prefetch(counters, 1);
    __builtin_prefetch(reinterpret_cast<const u8*>(counters + 1) - 1, 1);
}

// Every second one does.
[[gnu::always_inline]] inline void prefetch_addresses(const tables& t, u32 index) {
    const flow_addresses* addresses = flow_addresses_at(&t, index);
    __builtin_prefetch(addresses);
    __builtin_prefetch(reinterpret_cast<const u8*>(addresses + 1) - 1);
}

// What flow_claim() will read for a new flow: the free slot, or all of a full bucket to choose from.
[[gnu::always_inline]] inline void prefetch_claim(const tables& t, u64 hash) {
    const u32 mask = t.node->flow_bucket_mask;
    u32 bucket = flow_bucket_first(hash, mask);
    const u32 second = flow_bucket_second(hash, mask);
    u64 empty = bytes_equal(*flow_tags_at(&t, bucket), 0);
    const u64 second_empty = bytes_equal(*flow_tags_at(&t, second), 0);
    if (flow_match_count(second_empty) > flow_match_count(empty)) {
        bucket = second;
        empty = second_empty;
    }
    const u32 first = bucket * FLOW_BUCKET_SLOTS;
    if (empty != 0) {
        const u32 index = first + first_byte(empty);
        __builtin_prefetch(flow_at(&t, index), 1);
        prefetch_counters(t, index);
        return;
    }
    for (u32 i = 0; i < FLOW_BUCKET_SLOTS; i++) __builtin_prefetch(flow_at(&t, first + i), 1);
    const auto* counters = reinterpret_cast<const u8*>(flow_counters_at(&t, first));
    for (size_t at = 0; at < FLOW_BUCKET_SLOTS * sizeof(flow_counters); at += cache_line)
        __builtin_prefetch(counters + at, 1);
}

// The entry that HASH's tag points at, or where a new one will be written. `wide`: with its full addresses.
[[gnu::always_inline]] inline void prefetch_flow(const tables& t, u64 hash, bool wide) {
    const u32 mask = t.node->flow_bucket_mask;
    u32 bucket = flow_bucket_first(hash, mask);
    u64 match = bytes_equal(*flow_tags_at(&t, bucket), flow_tag(hash));
    if (match == 0) {
        bucket = flow_bucket_second(hash, mask);
        match = bytes_equal(*flow_tags_at(&t, bucket), flow_tag(hash));
        if (match == 0) return prefetch_claim(t, hash);
    }
    const u32 index = bucket * FLOW_BUCKET_SLOTS + first_byte(match);
    __builtin_prefetch(flow_at(&t, index));
    prefetch_counters(t, index);
    if (wide) prefetch_addresses(t, index);
}

}  // namespace sluice
