// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Look-ups in the snapshot. tables/image.h has the layout.
#ifndef SLUICE_TABLES_IMAGE_LOOKUP_H
#define SLUICE_TABLES_IMAGE_LOOKUP_H

#include "dataplane/tables/lookup.h"

SHARED_BEGIN

// Entry INDEX of a table of u16 that starts at LINE; 0 when out of range.
SHARED u16 image_u16(const struct tables* t, u32 line, u32 index) {
    const struct image_line* at = image_line_at(t, line + index / 32);
    if (!at) return 0;
    OPAQUE(at);
    return ((const u16*)at)[index & 31];
}

// Record INDEX of a table whose records are SIZE bytes (a power of two up to 64).
SHARED const void* image_record(const struct tables* t, u32 line, u32 index, u32 size) {
    const struct image_line* at = image_line_at(t, line + index / (IMAGE_LINE / size));
    if (!at) return NULL;
    OPAQUE(at);
    return (const u8*)at + (index & (IMAGE_LINE / size - 1)) * size;
}

SHARED const struct lpm_entry* image_lpm_probe(const struct tables* t, const struct image_lpm* lpm,
                                               const struct address* prefix, u32 length) {
    u32 line = lpm->line + ((u32)image_hash(prefix, length) & lpm->bucket_mask);
    for (u32 i = 0; i < PROBE_LINES; i++) {
        const struct lpm_entry* entry = (const struct lpm_entry*)image_line_at(t, line + i);
        if (!entry) return NULL;
        if (entry[0].used && entry[0].length == length && address_equal(&entry[0].prefix, prefix))
            return &entry[0];
        if (entry[1].used && entry[1].length == length && address_equal(&entry[1].prefix, prefix))
            return &entry[1];
        if (!entry[1].used) return NULL;
    }
    return NULL;
}

// Value of the longest prefix that covers ADDRESS.
SHARED_COLD u32 image_lpm_find(const struct tables* t, const struct image_lpm* lpm, const struct address* a) {
    u32 best = lpm->none;
    u32 node = 0;
    if (!lpm->line) return best;
    for (u32 level = 0; level < LPM_LEVELS; level++) {
        const u8* lengths = (const u8*)image_line_at(t, lpm->lengths + node / IMAGE_LINE);
        if (!lengths) return best;
        u32 length = lengths[node & (IMAGE_LINE - 1)];
        if (length > 128) return best;
        struct address prefix = address_masked(a, length);
        const struct lpm_entry* entry = image_lpm_probe(t, lpm, &prefix, length);
        if (entry && entry->has_value) best = entry->value;
        node = (u32)forget(t, 2 * node + (entry ? 2 : 1));
    }
    return best;
}

// Service id + 1 that claims PROTOCOL and PORT of a VIP; 0: none.
SHARED u32 image_service_of(const struct tables* t, u32 ports, u32 count, u8 protocol, u16 port) {
    u32 wanted = (u32)protocol << 16 | port;
    u32 low = 0;
    u32 high = count;
    for (u32 step = 0; step < PORT_SEARCH_STEPS + 1; step++) {
        if (low >= high) return 0;
        u32 middle = (low + high) / 2;
        const struct image_port_range* range =
            (const struct image_port_range*)image_record(t, ports, middle, sizeof *range);
        if (!range) return 0;
        if (wanted < range->first)
            high = middle;
        else if (wanted > range->last)
            low = middle + 1;
        else
            return range->service + 1u;
    }
    return 0;
}

// The VIP to which a packet from backend BACKEND:PORT replies, where the image can tell; NULL otherwise.
SHARED const struct image_reverse* image_reverse_find(const struct tables* t, u32 section, u32 mask,
                                                      const struct address* backend, u16 port, u8 protocol) {
    u32 line = section + ((u32)image_hash(backend, reverse_key(port, protocol)) & mask);
    for (u32 i = 0; i < PROBE_LINES; i++) {
        const struct image_reverse* entry = (const struct image_reverse*)image_line_at(t, line + i);
        if (!entry || !entry->used) return NULL;
        if (entry->port == port && entry->protocol == protocol && address_equal(&entry->backend, backend))
            return entry;
    }
    return NULL;
}

SHARED const struct image_neighbor* image_neighbor_find(const struct tables* t,
                                                        const struct image_header* header,
                                                        const struct address* a) {
    if (!header->neighbors) return NULL;
    u32 line = header->neighbors + ((u32)image_hash(a, 0) & header->neighbor_mask);
    for (u32 i = 0; i < PROBE_LINES; i++) {
        const struct image_neighbor* entry = (const struct image_neighbor*)image_line_at(t, line + i);
        if (!entry) return NULL;
        if (entry[0].used && address_equal(&entry[0].address, a)) return &entry[0];
        if (entry[1].used && address_equal(&entry[1].address, a)) return &entry[1];
        if (!entry[1].used) return NULL;
    }
    return NULL;
}

SHARED_END

#endif
