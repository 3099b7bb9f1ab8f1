// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The two ends of a live measurement: frames made in the kernel and sent by the device they claim to come
// from, and a drop that counts.
#include "dataplane/packet/headers.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum {
    TEMPLATE = 64,
    PACE_DEBT = 1000000,  // ns
    GENERATED = 11        // first byte of a generated frame's source address
};

// Frames are 64 bytes of IPv4. A frame's page comes back as its last receiver left it, so all is written
// anew.
struct settings {
    u8 bytes[TEMPLATE];  // checksum and source address 0
    u32 flows;
    u32 base;    // source address of flow 0, host order
    u32 sum;     // of the template's IP header
    u32 period;  // ns from one frame to the next; 0: as fast as it goes
    u64 random;
    u64 due;  // when the next frame is
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

// Paced: what comes before its time is thrown away, and what could not be sent in time is not made up for.
SHARED bool is_due(struct settings* s) {
    u64 now = bpf_ktime_get_ns();
    if (now < s->due) return false;
    s->due = now - s->due > PACE_DEBT ? now + s->period : s->due + s->period;
    return true;
}

SEC("xdp")
int generate(struct xdp_md* xdp) {
    u32 zero = 0;
    struct settings* s = bpf_map_lookup_elem(&settings, &zero);
    u64* data = (u64*)(long)xdp->data;
    if (!s || (u8*)data + TEMPLATE > (u8*)(long)xdp->data_end) return XDP_ABORTED;
    if (s->period && !is_due(s)) return XDP_DROP;
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

SHARED void swap16(u16* one, u16* other) {
    u16 kept = *one;
    *one = *other;
    *other = kept;
}

// What nobody generated asks for an answer: goes back as it came. No sum changes by that.
SHARED bool answer_probe(struct xdp_md* xdp) {
    u8* data = (u8*)(long)xdp->data;
    if (data + 38 > (u8*)(long)xdp->data_end || *(u16*)(data + 12) != 8 || data[14] != 0x45 ||
        data[26] == GENERATED || data[23] != PROTOCOL_UDP)
        return false;
#pragma unroll
    for (int i = 0; i < 6; i += 2) swap16((u16*)(data + i), (u16*)(data + 6 + i));
#pragma unroll
    for (int i = 0; i < 4; i += 2) swap16((u16*)(data + 26 + i), (u16*)(data + 30 + i));
    swap16((u16*)(data + 34), (u16*)(data + 36));
    return true;
}

SEC("xdp")
int count_and_drop(struct xdp_md* xdp) {
    u32 zero = 0;
    // Not XDP_TX: on a veth that waits unless the peer runs a program, too.
    if (answer_probe(xdp)) return (int)bpf_redirect(xdp->ingress_ifindex, 0);
    u64* packets = bpf_map_lookup_elem(&arrived, &zero);
    if (packets) ++*packets;
    return XDP_DROP;
}
