// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What bpf/listeners.bpf.c and the side that fills its maps have in common.
#pragma once

#include <linux/types.h>

#define LISTENER_IPV4 2  // AF_INET
#define LISTENER_TCP 6   // IPPROTO_TCP
#define LISTENER_GROUPS 4
#define LISTENER_PREFIX_BITS 160

// A key of the trie: the protocol counts as a prefix before the address, which is in network order, IPv4 as
// ::ffff:a.b.c.d.
struct listener_prefix {
    __u32 length;  // bits that count, of the protocol's 32 and the address's 128
    __u32 protocol;
    __u32 address[4];
};

struct listener_ports {
    __u64 bits[1024];  // port p: bit p % 64 of bits[p / 64]
};

// Position in the map of sockets.
static inline __u32 listener_group(__u32 protocol, int v4) {
    return (protocol == LISTENER_TCP ? 0 : 2) + (v4 ? 0 : 1);
}
