// SPDX-License-Identifier: Apache-2.0
//
// Sums over whole packets: what tables/lookup.h declares and only the engine can do.
#include "dataplane/io/sums.h"
#include "dataplane/packet/headers.h"
#include "dataplane/tables/lookup.h"

namespace sluice {

u64 packet_sum(const struct packet* p, u32 offset, u32 length) {
    if (p->data + offset + length > p->end) return 0;
    return byte_sum(p->data + offset, length);
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
    for (; zeros > 0; zeros--) change = crc32c_byte(change, 0);
    checksum ^= change;
    std::memcpy(at + 8, &checksum, sizeof checksum);
}

}  // namespace sluice
