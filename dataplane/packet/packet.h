// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// A frame, and the one checked way to touch its bytes.
#ifndef SLUICE_PACKET_PACKET_H
#define SLUICE_PACKET_PACKET_H

#include "dataplane/packet/target.h"

SHARED_BEGIN

struct packet {
    u8* data;     // first byte of the Ethernet header
    u8* end;      // one past the last byte
    void* owner;  // xdp_md in BPF; the native frame otherwise (see packet_resize in tables/lookup.h)
};

// Frames longer than this are not looked into beyond it; the bound is what lets the verifier follow a
// variable offset.
#define PACKET_OFFSET_MASK 0x3fffu

// LENGTH bytes at OFFSET, or NULL when the frame ends before. LENGTH is a constant wherever BPF is a target.
SHARED u8* packet_at(const struct packet* p, u32 offset, u32 length) {
    u8* at = p->data + (offset & PACKET_OFFSET_MASK);
    if (UNLIKELY(at + length > p->end)) return NULL;
    if (NATIVE && !at) __builtin_unreachable();
    OPAQUE(at);  // or the compiler repeats the comparison in the caller in a form the verifier cannot follow
    return at;
}

SHARED u32 packet_length(const struct packet* p) { return (u32)(p->end - p->data); }

SHARED_END

#endif
