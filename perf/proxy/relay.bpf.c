// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Passes what one socket of a pair receives to the other one, without the process in between.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_SOCKMAP);
    __uint(max_entries, 2);  // the client's, the server's
    __type(key, __u32);
    __type(value, __u64);
} pair SEC(".maps");

__u32 client_port;  // our port on the client's side, host order

SEC("sk_skb/stream_verdict")
int pass_on(struct __sk_buff* skb) {
    return bpf_sk_redirect_map(skb, &pair, skb->local_port == client_port ? 1 : 0, 0);
}
