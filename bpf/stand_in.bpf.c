// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What DPDK's net_af_xdp driver is given to load: it insists on attaching a program with a map of this name
// when it opens its sockets. Ours takes its place right after; this one passes everything.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, __u32);
} xsks_map SEC(".maps");

SEC("xdp")
int sluice_stand_in(struct xdp_md* context) {
    (void)context;
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
