// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The two ends of a live measurement: frames made in the kernel and sent by the device they claim to come
// from, and a drop that counts.
#include "dataplane/packet/headers.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { TEMPLATE = 64 };

// Frames are 64 bytes of IPv4. A frame's page comes back as its last receiver left it, so all is written
// anew.
struct settings {
    u8 bytes[TEMPLATE];  // checksum and source address 0
    u32 flows;
    u32 base;  // source address of flow 0, host order
    u32 sum;   // of the template's IP header
    u32 reserved;
    u64 random;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct settings);
} settings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, u64);
} arrived SEC(".maps");

SEC("xdp")
int generate(struct xdp_md* xdp) {
    u32 zero = 0;
    struct settings* s = bpf_map_lookup_elem(&settings, &zero);
    u64* data = (u64*)(long)xdp->data;
    if (!s || (u8*)data + TEMPLATE > (u8*)(long)xdp->data_end) return XDP_ABORTED;
    const u64* from = (const u64*)s->bytes;
#pragma unroll
    for (int i = 0; i < TEMPLATE / 8; i++) data[i] = from[i];
    s->random = s->random * 6364136223846793005ULL + 1442695040888963407ULL;
    u32 flow = (u32)((s->random >> 32) * s->flows >> 32);
    u32 address = __builtin_bswap32(s->base + flow);
    u32 sum = s->sum + (address & 0xffff) + (address >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    *(u16*)((u8*)data + 24) = (u16)~sum;
    *(u32*)((u8*)data + 26) = address;
    return XDP_TX;
}

SEC("xdp")
int count_and_drop(struct xdp_md* xdp) {
    u32 zero = 0;
    u64* packets = bpf_map_lookup_elem(&arrived, &zero);
    if (packets) ++*packets;
    return XDP_DROP;
}
