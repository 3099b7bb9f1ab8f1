// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The snapshot: one immutable compiled configuration as one position-independent block of 64-byte lines.
//
// The control side compiles a configuration into an image; the same bytes are the native engine's memory and
// the inner map of the XDP program, which is swapped whole by one update of the outer map. Offsets are line
// numbers. No record crosses a line. Everything here is read-only to the packet path.
//
//   header | destination LPM | source LPM | destinations | ports | services | rings | backends | reverse
//          | policy (tables, rows, rules) | routes LPM | route groups | next hops | neighbors
//
// Prefixes are matched by binary search over their lengths (Waldvogel, Varghese, Turner, Plattner: Scalable
// High Speed IP Routing Lookups, SIGCOMM 1997): a tree of the distinct lengths, one hash probe per level,
// every marker carrying the best match of its own prefix. One structure for both families, sets of a million
// prefixes and the route table alike.
#ifndef SLUICE_TABLES_IMAGE_H
#define SLUICE_TABLES_IMAGE_H

#include "dataplane/tables/node.h"

SHARED_BEGIN

enum {
    IMAGE_LINE = 64,
    LPM_LENGTHS = 127,  // distinct prefix lengths, a complete tree of 7 levels
    LPM_LEVELS = 7,
    PROBE_LINES =
        4,  // lines that a hash section's probe may visit; its builder grows the section until that holds
    PORT_SEARCH_STEPS = 16,  // binary search: at most 65,535 port intervals per VIP
    POLICY_MAX_WORDS = 256,  // 64 rules each: 16,384 rules
    MAGLEV_SIZE = 65537,
    RING_ENTRIES_PER_LINE = 32
};
#define IMAGE_MAGIC 0x0031454349554c53ULL  // "SLUICE1" in memory order

struct image_lpm {
    u32 line;         // hash section of struct lpm_entry
    u32 bucket_mask;  // lines - PROBE_LINES rounded to a power of two - 1: where a probe may start
    u32 lengths;      // line of the tree of lengths: u8[128], node i has children 2i+1 (shorter) and 2i+2
                      // (longer); 0xff: none
    u32 none;         // value when nothing matches
};

struct lpm_entry {
    struct address prefix;  // masked
    u32 value;              // of the longest configured prefix that covers this one
    u8 length;              // 0 to 128
    u8 used;
    u8 has_value;  // 0: a marker that no configured prefix covers; the search goes on with what it had
    u8 reserved[9];
};

// What is known of a destination prefix; an LPM value is an index of these.
struct image_destination {
    u32 ports;       // line of the VIP's struct image_port_range
    u16 port_count;  // 0: no VIP
    u16 policy_row;  // row of the policy's destination dimension
    u8 flags;        // destination_flags
    u8 tunnel;       // tunnel_type, 0: not a tunnel endpoint
    u8 reserved[6];
};

enum destination_flags {
    DESTINATION_OWN = 1,      // the node's own address
    DESTINATION_MANAGED = 2,  // filtered and routed by us
    DESTINATION_VIP = 4,      // some service has this address
    DESTINATION_ECHO = 8      // answer echo requests
};

enum tunnel_type { TUNNEL_IPIP = 1, TUNNEL_GUE = 2 };
enum { GUE_PORT = 6080 };

// Disjoint, ascending. Port 0 to 65535 stands for any; for protocols without ports first and last cover 0.
struct image_port_range {
    u32 first;  // protocol << 16 | port
    u32 last;
    u16 service;  // id
    u8 reserved[6];
};

enum service_flags {
    SERVICE_FLOW_TABLE = 1,
    SERVICE_ALIAS = 4,     // a reply does not tell the VIP it belongs to: flows get an alias
    SERVICE_ENGINE = 8,    // tier: af_xdp
    SERVICE_OBSERVED = 16  // of a packet: DNS over UDP, whose answers are looked at
};

enum hash_kind { HASH_FIVE_TUPLE, HASH_SOURCE, HASH_SOURCE_AND_PORT, HASH_DESTINATION_PORT };

struct image_service {
    u32 ring;       // line of u16 backend positions; position 0xffff: none is up
    u32 ring_size;  // entries
    u32 backends;   // line of this service's struct image_backend
    u16 backend_count;
    u16 policy_row;
    u8 mode;            // flow_mode
    u8 flags;           // service_flags
    u8 hash;            // hash_kind
    u8 source4_length;  // tunnel sources: prefix lengths 0 to 128; 0: none, the egress port's own address
                        // serves
    u8 source6_length;
    u8 protocol;
    u16 tunnel_port;  // dsr_gue
    struct address source4;
    struct address source6;
    u32 reserved[2];
};

struct image_backend {
    struct address address;
    u16 port;  // host order; 0: as the client sent
    u16 id;    // stable over snapshots, indexes counters
    u8 flags;  // backend_flags
    u8 reserved[11];
};

enum backend_flags { BACKEND_UP = 1, BACKEND_DRAINING = 2 };

// Which VIP a backend's reply belongs to, where only one can be meant.
struct image_reverse {
    struct address backend;
    struct address vip;
    u16 port;      // backend's, host order; 0: any
    u16 vip_port;  // host order; 0: the backend's port
    u8 protocol;
    u8 used;
    u16 service;
    u8 reserved[24];
};

// Policy by bit vectors (Lakshman, Stiliadis 1998) with one level of aggregation (Baboescu, Varghese 2001):
// every dimension maps the packet's field to a row, a row has one bit per rule, the first bit set in all rows
// is the rule. Fields that no rule tells apart share a row. Row 0 has every bit set.
struct image_policy {
    u32 rows;       // line of row 0
    u32 row_lines;  // lines per row: first the summary words (bit w: word w is not zero), then the words
    u32 words;      // u64 words per row, ceil(rules / 64); 0: no rules
    u32 rules;      // line of struct image_rule
    u32 rule_count;
    u32 protocols;  // line of u16[4][256]: rows by protocol; by TCP flags; by ICMP type; by ICMPv6 type
    u32 destination_ports;  // line of u16[65536]; 0: no rule looks
    u32 source_ports;
    u32 dscp;            // line of u16[64]; 0: no rule looks
    u32 ports;           // line of u16[NODE_PORTS]; 0: no rule looks
    u16 no_ports_row;    // row of the port dimensions for a packet without ports
    u16 no_service_row;  // row of the service dimension for managed traffic
    u32 fqdn;  // line of u16[1 << FQDN_SETS], by the sets that the destination is in; 0: no rule looks
    u32 enforced_row;  // of the rules that are not in dry run; 0: none is
};

enum { POLICY_SUMMARY_WORDS = 4 };

enum rule_action { ACTION_ALLOW = 1, ACTION_DROP = 2, ACTION_REJECT = 3, ACTION_EVALUATE = 4 };

enum rule_flags {
    RULE_STATELESS = 1,     // stateful: false
    RULE_METER = 2,         // allow within the rate
    RULE_METER_SOURCE = 4,  // one meter per source address
    RULE_METER_BYTES = 8,   // the rate counts bytes, else packets
    RULE_SET_DSCP = 16,
    RULE_FIRST_ONLY = 32,      // matches TCP flags: only packets that match count against the rate
    RULE_FALLBACK_ALLOW = 64,  // evaluate: allow where nobody can be asked
    RULE_DRY_RUN = 128         // counts, and leaves the decision to the rules after it
};

struct image_rule {
    u8 action;
    u8 flags;
    u8 dscp;
    u8 reserved;
    u16 id;  // stable over snapshots: flows, counters and meters name a rule by it
    u8 reserved1[2];
    u64 cost;   // ns per packet or per byte in 1/256 ns (generic cell rate algorithm, ITU-T I.371: increment)
    u64 burst;  // ns (limit)
    u8 reserved2[8];
};

struct image_route_group {
    u32 first;  // index of its first struct image_next_hop
    u16 count;
    u16 total_weight;
    u8 reserved[8];
};

struct image_next_hop {
    struct address via;  // all zero: the destination itself is the neighbour
    u8 mac[6];
    u16 port;        // egress, index into node_state.ports
    u16 weight_end;  // running sum of weights, this one included
    u8 has_mac;
    u8 reserved[5];
};

struct image_neighbor {
    struct address address;
    u8 mac[6];
    u16 port;
    u8 used;
    u8 reserved[7];
};

enum image_flags {
    IMAGE_DEFAULT_DROP = 1,
    IMAGE_TCP_PICKUP = 2,
    IMAGE_DROP_IP_OPTIONS = 4,
    IMAGE_STATIC_ROUTES = 8,
    IMAGE_TUNNELS = 16,
    IMAGE_OBSERVE_DNS = 32  // FQDN sets learn from answers: the engine serves DNS over UDP
};

struct image_header {
    u64 magic;
    u32 layout_version;
    u32 generation;
    u32 lines;
    u32 flags;  // image_flags
    u32 services;
    u32 service_count;
    u32 destinations;
    u32 reverse;  // hash section of struct image_reverse, one per line
    u32 reverse_mask;
    u32 route_groups;
    u32 next_hops;
    u32 neighbors;  // hash section of struct image_neighbor, two per line
    u32 neighbor_mask;
    u32 reserved;
    // line 1
    struct image_lpm destination;
    struct image_lpm source;  // value: policy row
    struct image_lpm routes;  // value: route group
    u32 reserved2[4];
    // line 2
    struct image_policy policy;
    u32 reserved3[2];
};

struct image_line {
    u64 word[8];
};

SHARED_ASSERT(sizeof(struct lpm_entry) == 32, "two per line");
SHARED_ASSERT(sizeof(struct image_destination) == 16, "four per line");
SHARED_ASSERT(sizeof(struct image_port_range) == 16, "four per line");
SHARED_ASSERT(sizeof(struct image_service) == 64, "one per line");
SHARED_ASSERT(sizeof(struct image_backend) == 32, "two per line");
SHARED_ASSERT(sizeof(struct image_reverse) == 64, "one per line");
SHARED_ASSERT(sizeof(struct image_rule) == 32, "two per line");
SHARED_ASSERT(sizeof(struct image_route_group) == 16, "four per line");
SHARED_ASSERT(sizeof(struct image_next_hop) == 32, "two per line");
SHARED_ASSERT(sizeof(struct image_neighbor) == 32, "two per line");
SHARED_ASSERT(offsetof(struct image_header, destination) == 64, "line 1");
SHARED_ASSERT(offsetof(struct image_header, policy) == 128, "line 2");
SHARED_ASSERT(sizeof(struct image_header) == 192, "three lines");
SHARED_ASSERT(sizeof(struct image_line) == IMAGE_LINE, "one line");

// Hashes of the sections' keys; builder and look-up share them. Unseeded: an image is the same bytes on every
// node.
SHARED u64 image_hash(const struct address* a, u64 extra) {
    u64 h = (a->word[0] ^ (extra * 0x9e3779b97f4a7c15ULL)) * 0xbf58476d1ce4e5b9ULL;
    h = (h ^ (h >> 32) ^ a->word[1]) * 0x94d049bb133111ebULL;
    h ^= h >> 29;
    h *= 0x9e3779b97f4a7c15ULL;
    return h ^ (h >> 32);
}

SHARED u64 reverse_key(u16 port, u8 protocol) { return (u64)port | (u64)protocol << 16 | 1ULL << 32; }

// The hash that places a packet on a Maglev ring: the same on every node and in every version (nodes share
// flows by it).
SHARED u64 ring_hash(const struct address* source, const struct address* destination, u32 ports,
                     u8 protocol) {
    u64 h = image_hash(source, ports | (u64)protocol << 32);
    return image_hash(destination, h);
}

SHARED u32 ring_slot(u64 hash, u32 ring_size) { return (u32)(((hash >> 32) * ring_size) >> 32); }

SHARED_END

#endif
