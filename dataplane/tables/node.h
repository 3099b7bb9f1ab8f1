// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The node's own state, read for every packet and therefore apart from the snapshot: ports, clock rates, what
// interests us. Written by the control side only, field by field, such that a reader always finds a superset
// of what the current and the next snapshot need.
#ifndef SLUICE_TABLES_NODE_H
#define SLUICE_TABLES_NODE_H

#include "dataplane/packet/address.h"
#include "dataplane/tables/flow.h"
#include "dataplane/tables/learned.h"

SHARED_BEGIN

enum {
    NODE_PORTS = 64,        // logical interfaces: devices and their VLAN sub-interfaces; 0 stands for none
    NODE_SLOTS = 256,       // hash slots for (device, VLAN) -> port
    INTEREST_BITS = 65536,  // per direction
    LAYOUT_VERSION = 5,     // of everything that outlives a daemon under bpffs
    NODE_MADE_UP = 0xe0000  // ifindexes from here on stand for ports that are no device of the kernel's
};

enum node_port_flags {
    PORT_PROMISCUOUS = 1,  // frames to another MAC are ours, too
    PORT_ENGINE = 2,       // the XDP program leaves all claimed traffic to the engine
    PORT_REDIRECT = 8,     // a veth, which sends XDP_TX at once only if its peer runs XDP: redirect instead
    PORT_ANY_MAC = 4       // replay without `mac:`: the frame's destination is the port's own
};

struct node_port {
    u32 ifindex;  // of the device that carries it
    u16 vlan;     // its tag, 0: untagged
    u16 mtu;      // of the IP packet, bytes
    u8 mac[6];
    u8 flags;              // node_port_flags
    u8 device;             // port number of the untagged interface on the same device
    struct be32 address4;  // first own address; 0: none
    u32 reserved;
    struct address address6;
};

// One slot of the perfect hash from (ifindex, VLAN) to a port.
struct node_slot {
    u32 ifindex;
    u16 vlan;
    u8 port;  // 0: empty
    u8 reserved;
};

// A filter over addresses: single hosts by a hash of the address; prefixes by the /16 (IPv4) or /48 (IPv6)
// they lie in, a shorter one by all it covers (for IPv6 shorter than /48: every bit).
struct interest {
    u64 hosts[INTEREST_BITS / 64];
    u64 prefixes[INTEREST_BITS / 64];
};

struct node_state {
    u64 flow_seed;
    u64 clock_offset;  // ns that the program adds to the kernel's clock: in replay, to live in the capture's
                       // time
    u32 flow_bucket_mask;
    u32 flow_capacity;  // slots; behind them lie FLOW_SCRATCH scratch slots, one per CPU or worker
    u32 layout_version;
    u32 generation;       // of the snapshot in force, low 16 bits in use
    u32 route_epoch;      // grows whenever the kernel's routes or neighbours change
    u32 slot_multiplier;  // perfect hash: ((ifindex << 12 | vlan) * multiplier) >> 24
    u32 punts;            // bit per punt_kind that the XDP program may hand over
    u32 trace_every;      // 0: off; else every n-th packet per CPU yields a trace event
    u32 capture;          // 0: off; else bytes of each packet that the XDP program shows (bpf/capture.h)
    u32 nat_port_first;   // fullnat source ports, host order, inclusive
    u32 nat_port_count;
    u32 long_way;              // 1: no packet takes the short way (pipeline/settled.h); for tests
    u32 source_mask;           // per-source meters: number of buckets - 1
    u32 timeout[STATE_COUNT];  // ticks, by flow_state
    struct node_slot slots[NODE_SLOTS];
    struct node_port ports[NODE_PORTS];
    struct interest destination;  // VIPs, managed prefixes, tunnel endpoints
    struct interest source;       // backends of nat services, whose replies must be looked up
    struct learned_address learned[LEARNED_SLOTS];
};

enum { FLOW_SCRATCH = 512 };

SHARED_ASSERT(sizeof(struct node_port) == 40, "no padding");
SHARED_ASSERT(sizeof(struct node_slot) == 8, "no padding");

SHARED u32 interest_host_bit(const struct address* a) { return (address_fold(a) * 0x9e3779b1u) >> 16; }

SHARED u32 interest_prefix_bit(const struct address* a) {
    if (a->word[0] == 0) return (u32)(a->word[1] >> 32) & 0xffff;
    return (u32)(((a->word[0] << 16) * 0x9e3779b97f4a7c15ULL) >> 48);
}

SHARED bool interest_bit_is_set(const u64* bits, u32 bit) {
    return bits[(bit >> 6) & (INTEREST_BITS / 64 - 1)] >> (bit & 63) & 1;
}

// Whether ADDRESS may matter to the snapshot. Never a false no.
SHARED bool interest_has(const struct interest* interest, const struct address* a) {
    return interest_bit_is_set(interest->hosts, interest_host_bit(a)) ||
           interest_bit_is_set(interest->prefixes, interest_prefix_bit(a));
}

SHARED u32 node_slot_index(u32 ifindex, u32 vlan, u32 multiplier) {
    return ((ifindex << 12 | vlan) * multiplier) >> 24;
}

// Port number for a frame from device IFINDEX with tag VLAN (0: none); 0 when it is none of ours.
SHARED u32 node_port_find(const struct node_state* node, u32 ifindex, u32 vlan) {
    const struct node_slot* slot =
        &node->slots[node_slot_index(ifindex, vlan, node->slot_multiplier) & (NODE_SLOTS - 1)];
    if (slot->ifindex != ifindex || slot->vlan != vlan) return 0;
    return slot->port;
}

// Changes every 8.6 s and with every change of the kernel's routes: a next hop resolved under another stamp
// is asked for anew. The clock matters only while no control side watches the kernel; it is slow, since with
// ten million flows every tick costs ten million questions. Never 0.
SHARED u8 route_stamp(const struct node_state* node, u32 now) {
    return (u8)(1 + ((now >> 13) + node->route_epoch * 7) % 255);
}

SHARED_END

#endif
