// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// One address type for both families: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2),
// held as two words in memory order so that compare, hash and mask are word operations.
#ifndef SLUICE_PACKET_ADDRESS_H
#define SLUICE_PACKET_ADDRESS_H

#include "dataplane/packet/endian.h"

SHARED_BEGIN

struct address {
    u64 word[2];
};

#define ADDRESS_IPV4_PREFIX 0xffff0000ULL  // word[1] of ::ffff:0:0 as a little-endian load

SHARED struct address address_from_ipv4(struct be32 wire) {
    struct address a;
    a.word[0] = 0;
    a.word[1] = ((u64)wire.raw << 32) | ADDRESS_IPV4_PREFIX;
    return a;
}

// WORD: the address as it was loaded, in network order.
SHARED struct address address_from_ipv4_word(u32 word) {
    struct be32 wire;
    wire.raw = word;
    return address_from_ipv4(wire);
}

SHARED bool address_is_ipv4(const struct address* a) {
    return a->word[0] == 0 && (u32)a->word[1] == (u32)ADDRESS_IPV4_PREFIX;
}

SHARED struct be32 address_to_ipv4(const struct address* a) {
    struct be32 wire;
    wire.raw = (u32)(a->word[1] >> 32);
    return wire;
}

// Word by word, as addresses are stored: one wide load of what two stores have just written would wait until
// both have left the store buffer.
SHARED void address_copy(struct address* to, const struct address* from) {
    to->word[0] = from->word[0];
    to->word[1] = from->word[1];
}

SHARED bool address_equal(const struct address* a, const struct address* b) {
    return ((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1])) == 0;
}

// The word of a mask with the first LENGTH of its 64 bits set (LENGTH 0 to 64), in memory order.
SHARED u64 address_mask_word(u32 length) {
    return length == 0 ? 0 : __builtin_bswap64(~0ULL << ((64 - length) & 63));
}

// ADDRESS cut to its first LENGTH bits (0 to 128; an IPv4 prefix of /n is n + 96).
SHARED struct address address_masked(const struct address* a, u32 length) {
    struct address masked;
    masked.word[0] = a->word[0] & address_mask_word(length < 64 ? length : 64);
    masked.word[1] = a->word[1] & address_mask_word(length < 64 ? 0 : length - 64);
    return masked;
}

// 32 bits that stand for the address in a flow key: the address itself for IPv4, a fold of all bits for IPv6
// (whose full form is compared besides).
SHARED u32 address_fold(const struct address* a) {
    u64 x = a->word[0] * 0x9e3779b97f4a7c15ULL;
    if (a->word[0] == 0) return (u32)(a->word[1] >> 32);
    x = (x ^ a->word[1]) * 0xbf58476d1ce4e5b9ULL;
    return (u32)(x >> 32);
}

SHARED_END

#endif
