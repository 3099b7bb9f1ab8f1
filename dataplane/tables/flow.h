// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The flow table: one entry per connection, one memory for every tier.
//
// Theory of operation. The table is three parallel arrays and their tags, in memory that XDP programs on all
// CPUs and the engine's workers share (memory-mapped BPF arrays), or that one engine has to itself (huge
// pages):
//
//   tags       8 one-byte tags per bucket, one word: 0 is empty, else 8 hash bits
//   flows      8 slots of one cache line per bucket: key, state, and the whole rewrite precomputed
//   counters   packets and bytes of both directions
//   addresses  full addresses, touched for IPv6 only (the key holds IPv4 addresses, or folds of IPv6 ones)
//
// A key hashes to two buckets and lives in either; an insert takes the emptier one, so buckets overflow only
// when the table is about full. The hash is symmetric in the two endpoints and a slot is compared both ways
// round, so the two directions of a connection find the same entry. Where the reply arrives with other
// endpoints (nat), its key is computed back from the backend it came from (tables/image.h, reverse) or, where
// that is ambiguous, found through an alias: a slot with the reply's key that names the flow.
//
// Writers. A slot is claimed by making its version odd with one compare-and-swap, filled, and published by
// making the version even again. A reader notes the version with the match and compares it again before the
// packet leaves (flow_unchanged); a slot replaced meanwhile costs that packet (REASON_FLOW_REPLACED), never a
// wrong rewrite. An insert looks its key up once more after publishing: of two that raced, the later slot
// withdraws. State, time stamps, next hops and counters are plain stores: the two directions have their own,
// and a direction is steered to one CPU.
//
// When both buckets are full the slot that expired, else the one idle longest, is replaced. Nothing else
// bounds an insert.
#ifndef SLUICE_TABLES_FLOW_H
#define SLUICE_TABLES_FLOW_H

#include "dataplane/packet/address.h"

SHARED_BEGIN

enum { FLOW_BUCKET_SLOTS = 8, FLOW_NONE = -1 };

// Word of an endpoint: comparing, hashing and storing it is one u64 operation.
struct __attribute__((aligned(8))) flow_endpoint {
    u8 address[4];  // IPv4, or address_fold() of IPv6
    u16 port;       // host order; an ICMP echo has its id here
    u8 protocol;
    u8 family;  // 4 or 6
};

// How packets of a flow leave.
enum flow_mode {
    MODE_ROUTE = 0,     // managed traffic: routed, addresses untouched
    MODE_NAT = 1,       // destination to the backend, replies' source back
    MODE_FULLNAT = 2,   // and the source to the node's own address
    MODE_DSR_L2 = 3,    // new MAC only
    MODE_DSR_IPIP = 4,  // outer IPv4 or IPv6 header
    MODE_DSR_GUE = 5,   // outer IP and UDP header (GUE variant 1: no GUE header)
    MODE_PROXY = 6,     // never a flow's: the host stack has it, and a listener of ours there
    MODE_ALIAS = 7,     // not a flow: the key of a flow's replies
    MODE_DENIED = 8,    // not forwarded: the evaluation of its first packet said no
    MODE_MASK = 15,
    MODE_ENGINE = 128  // bit: the engine serves it, the XDP program hands it over
};

// Which time-out applies; for TCP the state itself.
enum flow_state {
    STATE_TCP_SYN = 0,  // the initiator has not yet acknowledged anything
    STATE_TCP_ESTABLISHED = 1,
    STATE_TCP_CLOSING = 2,  // FIN both ways, or RST
    STATE_UDP = 3,
    STATE_ICMP = 4,
    STATE_OTHER = 5,
    STATE_COUNT = 8
};

enum flow_flags {
    FLOW_FIN_INITIATOR = 1,
    FLOW_FIN_RESPONDER = 2,
    FLOW_WIDE = 4,       // struct flow_addresses is in use: an IPv6 flow, or an IPv6 backend
    FLOW_METERED = 8,    // every packet counts against the rule's rate
    FLOW_SET_DSCP = 16,  // the rule rewrites the DSCP
    FLOW_ALIASED = 32,   // replies come by an alias
    FLOW_REPLIED = 64,   // the responder has been seen
    FLOW_OBSERVED = 128  // DNS: the evaluator sees the answers
};

struct __attribute__((aligned(8))) flow_hop {
    u8 mac[6];  // next hop
    u8 port;    // egress, index into node_state.ports
    u8 stamp;   // route_stamp() when resolved; 0: never
};

struct flow {
    struct flow_endpoint initiator;
    struct flow_endpoint responder;
    u32 version;      // odd while being written
    u32 last_seen;    // in ticks
    u32 target;       // IPv4 backend in network order; of an alias, the index of its flow
    u16 target_port;  // host order; of an alias, low half of its flow's version
    u16 nat_port;     // fullnat source port, host order; of an alias, high half
    u16 sum_l3;       // what forwarding adds to the IPv4 header's sum (addresses), TTL apart
    u16 sum_l4;       // and to the transport checksum (addresses and ports); replies add the complement
    u16 service;      // service id + 1; 0: managed traffic
    u16 backend;      // backend id + 1; 0: none
    u16 rule;         // position + 1 of the rule that decided, in that snapshot; 0: the default
    u16 generation;   // snapshot whose policy allowed it (low bits)
    u8 mode;          // flow_mode, MODE_ENGINE
    u8 state;         // flow_state
    u8 flags;         // flow_flags
    u8 nat_slot;      // fullnat: port whose own address is the source
    struct flow_hop hop[2];  // towards the responder (backend), towards the initiator
};

struct flow_addresses {
    struct address initiator;
    struct address responder;
    struct address target;
};

struct flow_counters {
    u64 bytes[2];    // as received, Ethernet header included
    u32 packets[2];  // stay at 0xffffffff once reached
};

// Of flow_nature(): where its bytes lie.
enum { NATURE_MODE = 0, NATURE_STATE = 8, NATURE_FLAGS = 16 };

SHARED_ASSERT(sizeof(struct flow_endpoint) == 8, "one word");
SHARED_ASSERT(offsetof(struct flow, state) == offsetof(struct flow, mode) + 1, "see flow_nature()");
SHARED_ASSERT(offsetof(struct flow, flags) == offsetof(struct flow, mode) + 2, "see flow_nature()");
SHARED_ASSERT(sizeof(struct flow) == 64, "one cache line");
SHARED_ASSERT(sizeof(struct flow_addresses) == 48, "no padding");
SHARED_ASSERT(sizeof(struct flow_counters) == 24, "no padding");

// What a packet asks the table for: both endpoints in the packet's own order.
struct flow_query {
    u64 source;  // words of flow_endpoint
    u64 destination;
    u64 hash;
    struct address source_address;
    struct address destination_address;
};

SHARED u64 flow_endpoint_word(const struct address* a, u16 port, u8 protocol, u8 family) {
    return (u64)address_fold(a) | (u64)port << 32 | (u64)protocol << 48 | (u64)family << 56;
}

SHARED u64 flow_word_load(const struct flow_endpoint* endpoint) {
    u64 word;
    __builtin_memcpy(&word, endpoint, sizeof word);
    return word;
}

// Mode, state and flags in one word, so that one comparison asks for all that must be so.
SHARED u32 flow_nature(const struct flow* flow) {
    u32 word;
    __builtin_memcpy(&word, (const u8*)flow + offsetof(struct flow, mode), sizeof word);
    return word;
}

SHARED void flow_word_store(struct flow_endpoint* endpoint, u64 word) {
    __builtin_memcpy(endpoint, &word, sizeof word);
}

SHARED u64 flow_mix(u64 x) {
    x *= 0x9e3779b97f4a7c15ULL;
    return x ^ (x >> 32);
}

// The same for both orders of the endpoints. SEED is the table's own, so that an outsider cannot aim at one
// bucket.
SHARED u64 flow_hash(u64 one, u64 other, u64 seed) {
    u64 h = (flow_mix(one ^ seed) + flow_mix(other ^ seed)) * 0xbf58476d1ce4e5b9ULL;
    return h ^ (h >> 31);
}

SHARED u8 flow_tag(u64 hash) {
    u8 tag = (u8)(hash >> 56);
    return tag ? tag : 1;
}

SHARED u32 flow_bucket_first(u64 hash, u32 mask) { return (u32)hash & mask; }
SHARED u32 flow_bucket_second(u64 hash, u32 mask) { return (u32)(hash >> 28) & mask; }

SHARED u32 flow_match_count(u64 match) { return (u32)(((match >> 7) * 0x0101010101010101ULL) >> 56); }

SHARED u32 flow_alias_version(const struct flow* alias) {
    return alias->target_port | (u32)alias->nat_port << 16;
}

SHARED_END

#endif
