// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Big-endian integers as types of their own: a value in network order converts to host order only by name.
#ifndef SLUICE_PACKET_ENDIAN_H
#define SLUICE_PACKET_ENDIAN_H

#include "dataplane/packet/target.h"

SHARED_BEGIN

struct WIRE be16 {
    u16 raw;
};
struct WIRE be32 {
    u32 raw;
};

SHARED u16 from_be16(struct be16 value) { return __builtin_bswap16(value.raw); }
SHARED u32 from_be32(struct be32 value) { return __builtin_bswap32(value.raw); }

SHARED struct be16 to_be16(u16 value) {
    struct be16 wire;
    wire.raw = __builtin_bswap16(value);
    return wire;
}

SHARED struct be32 to_be32(u32 value) {
    struct be32 wire;
    wire.raw = __builtin_bswap32(value);
    return wire;
}

SHARED_END

#endif
