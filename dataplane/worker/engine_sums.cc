// SPDX-License-Identifier: Apache-2.0
//
// Sums over whole packets: what tables/lookup.h declares and only the engine can do.
#include <algorithm>
#include <cstring>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"
#include "dataplane/tables/lookup.h"

namespace sluice {

namespace {

// One step of CRC32c (Castagnoli, RFC 9260 Appendix A; reflected) over the 8 bytes of WORD.
u32 crc32c_word(u32 crc, u64 word) {
#if defined(__SSE4_2__)
    return static_cast<u32>(__builtin_ia32_crc32di(crc, word));
#else
    u64 state = word ^ crc;
    for (int bit = 0; bit < 64; bit++) state = (state >> 1) ^ (state & 1 ? 0x82f63b78u : 0);
    return static_cast<u32>(state);
#endif
}

u32 crc32c_zero_byte(u32 crc) {
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
    return crc;
}

}  // namespace

u64 packet_sum(const struct packet* p, u32 offset, u32 length) {
    if (p->data + offset + length > p->end) return 0;
    const u8* at = p->data + offset;
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

// The CRC is linear: what the change of a word does to it is the CRC, begun at 0, of the change followed by
// zeros. So a wrong checksum stays wrong (RFC 9260, 6.8 and Appendix A; the field holds the CRC's complement,
// least byte first).
void packet_update_crc32c(const struct packet* p, u32 offset, u32 end, u32 from) {
    if (offset + 12 > end || p->data + end > p->end) return;
    u8* const at = p->data + offset;
    u32 to;
    u32 checksum;
    std::memcpy(&to, at, sizeof to);
    std::memcpy(&checksum, at + 8, sizeof checksum);
    u32 change = crc32c_word(0, from ^ to);  // the word and four zeros
    u32 zeros = end - offset - 8;
    for (; zeros >= 8; zeros -= 8) change = crc32c_word(change, 0);
    for (; zeros > 0; zeros--) change = crc32c_zero_byte(change);
    checksum ^= change;
    std::memcpy(at + 8, &checksum, sizeof checksum);
}

}  // namespace sluice
