// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Addresses that DNS answers gave for the names of FQDN sets: a small hash table in the node's state, which
// every tier reads. The evaluator alone writes: it clears `sets`, writes the rest, and sets `sets` last.
#ifndef SLUICE_TABLES_LEARNED_H
#define SLUICE_TABLES_LEARNED_H

#include "dataplane/packet/address.h"

SHARED_BEGIN

enum {
    FQDN_SETS = 8,         // that a policy may have
    LEARNED_SLOTS = 4096,  // addresses that are known at a time
    LEARNED_PROBES = 8     // slots that an address may lie in
};

struct learned_address {
    struct address address;
    u32 until[FQDN_SETS];  // ticks: when its membership ends, by set
    u8 sets;               // bit per set; 0: the slot is empty
    u8 reserved[15];
};

SHARED_ASSERT(sizeof(struct learned_address) == 64, "one cache line");

SHARED u32 learned_hash(const struct address* a) {
    u64 h = (a->word[0] ^ a->word[1] ^ a->word[1] >> 32) * 0x9e3779b97f4a7c15ULL;
    h = (h ^ h >> 32) * 0xbf58476d1ce4e5b9ULL;
    return (u32)(h >> 40);
}

// Of those it belongs to, the sets that it has not outlived at NOW.
SHARED u32 learned_alive(const struct learned_address* slot, u32 now) {
    u32 alive = 0;
    for (u32 i = 0; i < FQDN_SETS; i++) alive |= ((now - slot->until[i]) >> 31) << i;
    return alive & slot->sets;
}

// Bit per FQDN set that A belongs to at NOW.
SHARED u32 learned_sets(const struct learned_address* table, const struct address* a, u32 now) {
    u32 first = learned_hash(a);
    for (u32 i = 0; i < LEARNED_PROBES; i++) {
        const struct learned_address* slot = &table[(first + i) & (LEARNED_SLOTS - 1)];
        if (LOAD_ACQUIRE(&slot->sets) && address_equal(&slot->address, a)) return learned_alive(slot, now);
    }
    return 0;
}

SHARED_END

#endif
