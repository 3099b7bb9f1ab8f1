// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Which listening socket of the proxy a connection or datagram goes to: one for all addresses and ports of a
// protocol and family. Filled anew for each snapshot (dataplane/io/sk_lookup).
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/listeners.h"

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, struct listener_prefix);
    __type(value, __u32);  // index into port_sets
} prefixes SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct listener_ports);
} port_sets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_SOCKMAP);
    __uint(max_entries, LISTENER_GROUPS);
    __type(key, __u32);
    __type(value, __u64);
} groups SEC(".maps");

// The verifier takes loads from the context at fixed offsets only: no barrier, and the compiler merges the
// last ones of both families into one at a computed address.
static __always_inline void set_address(struct listener_prefix* key, const struct bpf_sk_lookup* context) {
    if (context->family == LISTENER_IPV4) {
        __u32 word = context->local_ip4;
        barrier_var(word);
        key->address[2] = bpf_htonl(0xffff);
        key->address[3] = word;
        return;
    }
    key->address[0] = context->local_ip6[0];
    key->address[1] = context->local_ip6[1];
    key->address[2] = context->local_ip6[2];
    __u32 last = context->local_ip6[3];
    barrier_var(last);
    key->address[3] = last;
}

SEC("sk_lookup")
int sluice_listeners(struct bpf_sk_lookup* context) {
    struct listener_prefix key = {.length = LISTENER_PREFIX_BITS, .protocol = context->protocol};
    set_address(&key, context);
    __u32* index = bpf_map_lookup_elem(&prefixes, &key);
    if (!index) return SK_PASS;
    struct listener_ports* ports = bpf_map_lookup_elem(&port_sets, index);
    __u32 port = context->local_port & 0xffff;
    if (!ports || !(ports->bits[port / 64] >> (port % 64) & 1)) return SK_PASS;
    __u32 group = listener_group(context->protocol, context->family == LISTENER_IPV4);
    struct bpf_sock* sock = bpf_map_lookup_elem(&groups, &group);
    if (!sock) return SK_PASS;
    bpf_sk_assign(context, sock, 0);  // the kernel then chooses within the socket's reuseport group
    bpf_sk_release(sock);
    return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
