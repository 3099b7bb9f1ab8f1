// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The Internet checksum (RFC 1071) and its incremental update (RFC 1624, eqn. 3: HC' = ~(~HC + ~m + m')).
// Sums are one's-complement sums of 16-bit words as loaded, in memory order: the arithmetic is byte-order
// independent.
#ifndef SLUICE_PACKET_CHECKSUM_H
#define SLUICE_PACKET_CHECKSUM_H

#include "dataplane/packet/address.h"

SHARED_BEGIN

SHARED u16 sum_fold(u64 sum) {
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (u16)sum;
}

// Whether SUM, which is not 0, folds to 0xffff: is a multiple of it, which a multiplication by its inverse
// modulo 2^64 tells (Warren, Hacker's Delight, 10-17).
SHARED bool sum_is_whole(u64 sum) { return sum * 0xfffefffefffeffffULL <= 0x0001000100010001ULL; }

// One's-complement sum of two; a single fold takes up their carry.
SHARED u16 sum_add(u16 a, u16 b) {
    u32 sum = (u32)a + b;
    return (u16)(sum + (sum >> 16));
}

SHARED u64 sum_of_word(u64 word) { return (word & 0xffffffff) + (word >> 32); }

// What an address contributes to a sum.
SHARED u64 sum_of_address(const struct address* a) {
    if (address_is_ipv4(a)) return a->word[1] >> 32;
    return sum_of_word(a->word[0]) + sum_of_word(a->word[1]);
}

// The change of a sum when content summing to FROM is replaced by content summing to TO; folded.
SHARED u16 sum_delta(u64 from, u64 to) { return sum_fold(to + (u16)~sum_fold(from)); }

// A checksum field after its content changed by DELTA.
SHARED u16 checksum_update(u16 checksum, u16 delta) { return (u16)~sum_add((u16)~checksum, delta); }

SHARED_END

#endif
