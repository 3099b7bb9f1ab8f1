// SPDX-License-Identifier: Apache-2.0
//
// Sums over bytes of any length: the Internet checksum's, and CRC32c, SCTP's (RFC 9260, Appendix A).
#pragma once

#include <cstring>

#include "dataplane/packet/checksum.h"

namespace sluice {

// The one's-complement sum of 16-bit words in memory order, as sum_fold() takes it; an odd byte at the end is
// followed by a zero.
inline u64 byte_sum(const u8* at, size_t length) {
    u64 sum = 0;
    u64 carries = 0;
    while (length >= 8) {
        u64 word;
        std::memcpy(&word, at, sizeof word);
        sum += word;
        carries += sum < word;
        at += 8;
        length -= 8;
    }
    u64 rest = 0;
    std::memcpy(&rest, at, length);
    sum = (sum & 0xffffffff) + (sum >> 32) + carries;
    return sum + (rest & 0xffffffff) + (rest >> 32);
}

// One step of the reflected CRC over the 8 bytes of WORD.
inline u32 crc32c_word(u32 crc, u64 word) {
#if defined(__SSE4_2__)
    return static_cast<u32>(__builtin_ia32_crc32di(crc, word));
#else
    u64 state = word ^ crc;
    for (int bit = 0; bit < 64; bit++) state = (state >> 1) ^ (state & 1 ? 0x82f63b78u : 0);
    return static_cast<u32>(state);
#endif
}

inline u32 crc32c_byte(u32 crc, u8 byte) {
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
    return crc;
}

}  // namespace sluice
