// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Find, claim, publish and release entries of the flow table; tables/flow.h has the theory of operation.
#ifndef SLUICE_TABLES_FLOW_TABLE_H
#define SLUICE_TABLES_FLOW_TABLE_H

#include "dataplane/tables/lookup.h"

SHARED_BEGIN

SHARED bool flow_unchanged(const struct flow_ref* ref) {
    return LOAD_ACQUIRE(&ref->flow->version) == ref->at->version;
}

// The full addresses behind a match on folded ones. DIRECTION says which way round to compare.
SHARED bool flow_addresses_equal(const struct tables* t, u32 index, const struct flow_query* q,
                                 u32 direction) {
    const struct flow_addresses* full = flow_addresses_at(t, index);
    if (!full) return false;
    if (direction)
        return address_equal(&full->initiator, &q->destination_address) &&
               address_equal(&full->responder, &q->source_address);
    return address_equal(&full->initiator, &q->source_address) &&
           address_equal(&full->responder, &q->destination_address);
}

SHARED bool flow_matches(const struct tables* t, const struct flow_query* q, struct flow_ref* ref) {
    ref->at->version = LOAD_ACQUIRE(&ref->flow->version);
    if (ref->at->version & 1) return false;
    u64 initiator = flow_word_load(&ref->flow->initiator);
    u64 responder = flow_word_load(&ref->flow->responder);
    if (initiator == q->source && responder == q->destination)
        ref->at->direction = 0;
    else if (initiator == q->destination && responder == q->source)
        ref->at->direction = 1;
    else
        return false;
    if (LIKELY(q->source >> 56 == 4)) return true;
    return flow_addresses_equal(t, ref->at->index, q, ref->at->direction);
}

SHARED bool flow_find_in(const struct tables* t, const struct flow_query* q, u32 bucket,
                         struct flow_ref* ref) {
    const u64* tags = flow_tags_at(t, bucket);
    if (!tags) return false;
    u64 match = bytes_equal(*(const volatile u64*)tags, flow_tag(q->hash));
    for (u32 i = 0; i < FLOW_BUCKET_SLOTS; i++) {
        if (!match) return false;
        ref->at->index = bucket * FLOW_BUCKET_SLOTS + first_byte(match);
        ref->flow = flow_at(t, ref->at->index);
        if (!ref->flow) return false;
        if (flow_matches(t, q, ref)) return true;
        match &= match - 1;
    }
    return false;
}

// The entry, alias or flow, whose key is Q's pair of endpoints, in either order.
SHARED bool flow_find(const struct tables* t, const struct flow_query* q, struct flow_ref* ref) {
    u32 mask = t->node->flow_bucket_mask;
    bool found = flow_find_in(t, q, flow_bucket_first(q->hash, mask), ref);
    if (UNLIKELY(!found)) found = flow_find_in(t, q, flow_bucket_second(q->hash, mask), ref);
    COMPILER_BARRIER();
    return found;
}

// From an alias to the flow it stands for; false when that has gone.
SHARED bool flow_follow_alias(const struct tables* t, struct flow_ref* ref) {
    u32 version = flow_alias_version(ref->flow);
    u32 index = ref->flow->target;
    if (!flow_unchanged(ref)) return false;
    ref->flow = flow_at(t, index);
    if (!ref->flow) return false;
    ref->at->index = index;
    ref->at->version = version;
    ref->at->direction = 1;
    return flow_unchanged(ref);
}

// Ticks without a packet. The program's coarse clock lags some milliseconds behind the engine's: a stamp may
// lie in the future.
SHARED u32 flow_idle(const struct flow* flow, u32 now) {
    u32 idle = now - flow->last_seen;
    return idle > 0x7fffffff ? 0 : idle;
}

SHARED bool flow_expired(const struct tables* t, const struct flow* flow, u32 now) {
    return flow_idle(flow, now) > t->node->timeout[flow->state & (STATE_COUNT - 1)];
}

// How readily a slot gives way: expired first, then half-open and closing connections, each by the time it
// has been idle.
SHARED u32 flow_eviction_score(const struct tables* t, const struct flow* flow, u32 now) {
    u32 idle = flow_idle(flow, now);
    if (idle > 0x0fffffff) idle = 0x0fffffff;
    if (flow_expired(t, flow, now)) return idle | 0x40000000;
    if (flow->state == STATE_TCP_SYN || flow->state == STATE_TCP_CLOSING) return idle | 0x20000000;
    return idle;
}

// Makes the slot's version odd: from here it is ours alone. False when another writer has it.
SHARED bool flow_lock(struct flow_ref* ref) {
    u32 version = LOAD_ACQUIRE(&ref->flow->version);
    if (version & 1) return false;
    if (__sync_val_compare_and_swap(&ref->flow->version, version, version + 1) != version) return false;
    ref->at->version = version + 1;
    ref->at->direction = 0;
    return true;
}

SHARED bool flow_claim_slot(const struct tables* t, u32 index, struct flow_ref* ref) {
    ref->at->index = index;
    ref->flow = flow_at(t, index);
    return ref->flow && flow_lock(ref);
}

// A slot for HASH, locked, in the emptier of its two buckets, at the cost of the flow that gives way most
// readily when both are full. False when other writers hold what was tried.
SHARED bool flow_claim(const struct tables* t, u64 hash, u32 now, struct flow_ref* ref) {
    u32 mask = t->node->flow_bucket_mask;
    u32 bucket = flow_bucket_first(hash, mask);
    u32 second = flow_bucket_second(hash, mask);
    const u64* tags = flow_tags_at(t, bucket);
    const u64* second_tags = flow_tags_at(t, second);
    if (!tags || !second_tags) return false;
    u64 empty = bytes_equal(*(const volatile u64*)tags, 0);
    u64 second_empty = bytes_equal(*(const volatile u64*)second_tags, 0);
    if (flow_match_count(second_empty) > flow_match_count(empty)) {
        bucket = second;
        empty = second_empty;
    }
    if (LIKELY(empty)) {
        if (flow_claim_slot(t, bucket * FLOW_BUCKET_SLOTS + first_byte(empty), ref)) return true;
        empty &= empty - 1;
        return empty && flow_claim_slot(t, bucket * FLOW_BUCKET_SLOTS + first_byte(empty), ref);
    }
    u32 best = 0;
    u32 victim = 0;
    for (u32 i = 0; i < FLOW_BUCKET_SLOTS; i++) {
        const struct flow* flow = flow_at(t, bucket * FLOW_BUCKET_SLOTS + i);
        if (!flow) return false;
        u32 score = flow_eviction_score(t, flow, now) + 1;
        if (score > best && !(flow->version & 1)) {
            best = score;
            victim = i;
        }
    }
    if (!best || !flow_claim_slot(t, bucket * FLOW_BUCKET_SLOTS + victim, ref)) return false;
    worker_count_eviction(t, best > 0x40000000);
    return true;
}

SHARED void flow_set_tag(const struct tables* t, u32 index, u8 tag) {
    u64* tags = flow_tags_at(t, index / FLOW_BUCKET_SLOTS);
    if (tags) *((volatile u8*)tags + (index & (FLOW_BUCKET_SLOTS - 1))) = tag;
}

// Ends a write: readers find the entry from here on.
SHARED void flow_publish(const struct tables* t, struct flow_ref* ref, u64 hash) {
    flow_set_tag(t, ref->at->index, flow_tag(hash));
    ref->at->version += 1;
    STORE_RELEASE(&ref->flow->version, ref->at->version);
}

// Empties a slot that is locked by us.
SHARED void flow_withdraw(const struct tables* t, struct flow_ref* ref) {
    flow_set_tag(t, ref->at->index, 0);
    flow_word_store(&ref->flow->initiator, 0);
    flow_word_store(&ref->flow->responder, 0);
    STORE_RELEASE(&ref->flow->version, ref->at->version + 1);
}

// Publishes, then makes sure that the key has one entry: when another CPU published the same key in a slot
// that is found first, ours is withdrawn and the answer is false.
SHARED bool flow_publish_unique(const struct tables* t, const struct flow_query* q, struct flow_ref* ref,
                                struct flow_place* scratch) {
    struct flow_ref found = {NULL, scratch};
    flow_publish(t, ref, q->hash);
    if (LIKELY(flow_find(t, q, &found) && scratch->index == ref->at->index)) return true;
    if (flow_lock(ref)) flow_withdraw(t, ref);
    return false;
}

// Removes an entry, unless it has changed since REF was taken.
SHARED void flow_remove(const struct tables* t, struct flow_ref* ref) {
    u32 version = ref->at->version;
    if (!flow_lock(ref)) return;
    if (ref->at->version == version + 1)
        flow_withdraw(t, ref);
    else
        STORE_RELEASE(&ref->flow->version, ref->at->version - 1);
}

SHARED_END

#endif
