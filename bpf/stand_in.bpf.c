// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What DPDK's net_af_xdp driver is given to load: it insists on a program with a map of this name for its
// sockets. It is never attached: ours is in front of them (dataplane/io/dpdk/program_guard.h).
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
