// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Stands before the program under test in a repeated BPF_PROG_TEST_RUN, which does not restore the packet
// between repeats: puts back length and first bytes, gives the packet one of `flow_mask` + 1 client
// addresses, and tail-calls the target. The same front before a target that only returns is the floor to
// subtract.
#include "dataplane/packet/headers.h"

char LICENSE[] SEC("license") = "GPL v2";

enum { TEMPLATE = 128 };

struct bench {
    u8 bytes[TEMPLATE];
    u32 length;
    u32 flow_mask;   // flows - 1
    u32 sequential;  // 1: every packet the next flow; 0: at random
    u32 adjust;      // 1: the floor moves the head once, as an encapsulating target does
    u64 state;
    u32 base;  // client address of flow 0, host order
    u32 family;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct bench);
} bench SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 1);
    __uint(key_size, 4);
    __uint(value_size, 4);
} target SEC(".maps");

SHARED u32 next_flow(struct bench* b) {
    if (b->sequential) return (u32)(b->state++) & b->flow_mask;
    b->state = b->state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (u32)(b->state >> 33) & b->flow_mask;
}

SEC("xdp")
int front(struct xdp_md* xdp) {
    u32 zero = 0;
    struct bench* b = bpf_map_lookup_elem(&bench, &zero);
    if (!b) return XDP_ABORTED;
    int excess = (int)((u8*)(long)xdp->data_end - (u8*)(long)xdp->data) - (int)b->length;
    if (excess && bpf_xdp_adjust_head(xdp, excess)) return XDP_ABORTED;
    u64* data = (u64*)(long)xdp->data;
    u8* end = (u8*)(long)xdp->data_end;
    if ((u8*)data + 64 > end) return XDP_ABORTED;
    const u64* from = (const u64*)b->bytes;
#pragma unroll
    for (int i = 0; i < 8; i++) data[i] = from[i];
    u8* bytes = (u8*)data;
    if (bytes + TEMPLATE <= end) {
#pragma unroll
        for (int i = 8; i < 16; i++) data[i] = from[i];
    }
    u32 flow = next_flow(b);
    if (b->family == 4) {
        u32 address = __builtin_bswap32(b->base + flow);
        u32 sum = *(u16*)(bytes + 24) + (address & 0xffff) +
                  (address >> 16);  // the template's: without address, not inverted
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        *(u16*)(bytes + 24) = (u16)~sum;
        *(u32*)(bytes + 26) = address;
    } else {
        *(u32*)(bytes + 34) = __builtin_bswap32(b->base + flow);
    }
    bpf_tail_call(xdp, &target, 0);
    return XDP_ABORTED;
}

SEC("xdp")
int floor_target(struct xdp_md* xdp) {
    u32 zero = 0;
    struct bench* b = bpf_map_lookup_elem(&bench, &zero);
    if (b && b->adjust) bpf_xdp_adjust_head(xdp, -20);
    return XDP_PASS;
}
