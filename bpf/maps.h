// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The XDP program's maps, pinned under these names, and the BPF side of the table seam
// (dataplane/tables/lookup.h). Sizes marked 1 are set by the loader from the configuration before the object
// is loaded.
#ifndef SLUICE_BPF_MAPS_H
#define SLUICE_BPF_MAPS_H

// The node's state (struct node_state): ports, time-outs, what addresses interest us.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct node_state);
} node SEC(".maps");

struct snapshot_image {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
    __uint(max_entries, 1);
    __uint(key_size, sizeof(u32));
    __uint(value_size, sizeof(struct image_line));
};

// The snapshot in force: one inner map, replaced whole.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __type(key, u32);
    __array(values, struct snapshot_image);
} snapshot SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, u64);
} flow_tags SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct flow);
} flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct flow_addresses);
} flow_addresses SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct flow_counters);
} flow_counters SEC(".maps");

// By rule id.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, u64);
} meters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct source_meter_bucket);
} source_meters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, NODE_PORTS);
    __type(key, u32);
    __type(value, struct port_counters);
} port_counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct backend_counters);
} backend_counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct pair_counters);
} rule_counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct worker_counters);
} cpu_counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct pipeline_context);
} contexts SEC(".maps");

// Egress by port number.
struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, NODE_PORTS);
    __type(key, u32);
    __type(value, u32);
} egress SEC(".maps");

// AF_XDP sockets by device (port number of the untagged interface) * XSK_QUEUES + receive queue.
enum { XSK_QUEUES = 64 };
struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, NODE_PORTS* XSK_QUEUES);
    __type(key, u32);
    __type(value, u32);
} sockets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 18);
} trace SEC(".maps");

// One buffer per CPU, made by who captures (bpf/capture.h): without one nothing is written.
struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, sizeof(u32));
    __uint(value_size, sizeof(u32));
} capture SEC(".maps");

struct tables {
    struct node_state* node;
    void* image;  // the inner map
    struct pipeline_context* context;
};

SHARED u64* flow_tags_at(const struct tables* t, u32 bucket) {
    return bpf_map_lookup_elem(&flow_tags, &bucket);
}
SHARED struct flow* flow_at(const struct tables* t, u32 index) { return bpf_map_lookup_elem(&flows, &index); }
SHARED struct flow_addresses* flow_addresses_at(const struct tables* t, u32 index) {
    return bpf_map_lookup_elem(&flow_addresses, &index);
}
SHARED struct flow_counters* flow_counters_at(const struct tables* t, u32 index) {
    return bpf_map_lookup_elem(&flow_counters, &index);
}
SHARED u32 flow_scratch_index(const struct tables* t) {
    return t->node->flow_capacity + (bpf_get_smp_processor_id() & (FLOW_SCRATCH - 1));
}

SHARED const struct image_line* image_line_at(const struct tables* t, u32 line) {
    return bpf_map_lookup_elem(t->image, &line);
}

SHARED u64* meter_at(const struct tables* t, u32 id) { return bpf_map_lookup_elem(&meters, &id); }
SHARED struct source_meter_bucket* source_meters_at(const struct tables* t, u32 bucket) {
    return bpf_map_lookup_elem(&source_meters, &bucket);
}
SHARED u64 clock_ns(const struct tables* t) { return bpf_ktime_get_ns() + t->node->clock_offset; }
SHARED u32 clock_ticks(const struct tables* t) {
    return (u32)((bpf_ktime_get_coarse_ns() + t->node->clock_offset) >> 20);
}
SHARED u8 stamp_of(const struct tables* t, u32 now) { return route_stamp(t->node, now); }
SHARED u32 punts_of(const struct tables* t) { return t->node->punts; }

SHARED struct port_counters* port_counters_at(const struct tables* t, u32 port) {
    return bpf_map_lookup_elem(&port_counters, &port);
}
SHARED struct backend_counters* backend_counters_at(const struct tables* t, u32 id) {
    return bpf_map_lookup_elem(&backend_counters, &id);
}
SHARED struct pair_counters* rule_counters_at(const struct tables* t, u32 id) {
    return bpf_map_lookup_elem(&rule_counters, &id);
}
SHARED struct worker_counters* worker_counters_of(const struct tables* t) {
    u32 zero = 0;
    return bpf_map_lookup_elem(&cpu_counters, &zero);
}

// The fragments of claimed traffic belong to the engine.
SHARED u32 fragment_ports(const struct tables* t, struct pipeline_context* c) { return punt(PUNT_FRAGMENT); }

// Only an engine can ask.
SHARED u32 evaluation_of(const struct tables* t, struct pipeline_context* c, const struct image_rule* rule) {
    return VERDICT_EVALUATE;
}

SHARED u32 kernel_route(const struct tables* t, struct packet* p, struct pipeline_context* c,
                        const struct address* to, struct next_hop* hop) {
    struct bpf_fib_lookup* fib = (struct bpf_fib_lookup*)c->fib;
    __builtin_memset(fib, 0, sizeof *fib);
    fib->ifindex = c->ifindex;
    if (address_is_ipv4(to)) {
        fib->family = 2;  // AF_INET
        fib->ipv4_src = address_to_ipv4(&c->h.source).raw;
        fib->ipv4_dst = address_to_ipv4(to).raw;
    } else {
        fib->family = 10;  // AF_INET6
        __builtin_memcpy(fib->ipv6_src, &c->h.source, 16);
        __builtin_memcpy(fib->ipv6_dst, to, 16);
    }
    long answer = bpf_fib_lookup(p->owner, fib, sizeof *fib, 0);
    if (answer == BPF_FIB_LKUP_RET_NO_NEIGH) return punt(PUNT_NEIGHBOR);
    if (answer == BPF_FIB_LKUP_RET_FWD_DISABLED || answer == BPF_FIB_LKUP_RET_UNSUPP_LWT)
        return punt(PUNT_ROUTE);
    if (answer != BPF_FIB_LKUP_RET_SUCCESS) return drop(REASON_NO_ROUTE);
    u32 port = node_port_find(t->node, fib->ifindex, 0);
    if (!port) {  // no interface of ours, or a VLAN device on one: the engine knows, else the host routes
        if (t->node->punts >> PUNT_ROUTE & 1) return punt(PUNT_ROUTE);
        return c->mode == MODE_ROUTE ? (u32)VERDICT_PASS : drop(REASON_NO_ROUTE);
    }
    __builtin_memcpy(hop->mac, fib->dmac, 6);
    hop->port = (u16)port;
    return 0;
}

// Between stages: what the verifier knows of the packet's length starts afresh, so that the paths that led
// here are one.
SHARED void packet_reload(struct packet* p) {
    struct xdp_md* xdp = p->owner;
    p->data = (u8*)(long)xdp->data;
    p->end = (u8*)(long)xdp->data_end;
}

// VALUE, about which the verifier now knows nothing: states that differ in it only are one. It travels
// through memory.
SHARED u64 forget(const struct tables* t, u64 value) {
    *(volatile u64*)&t->context->forgotten = value;
    return *(volatile u64*)&t->context->forgotten;
}

// Moves the start of the packet by DELTA bytes (negative: prepends). False when there is no room.
SHARED bool packet_resize(struct packet* p, int delta) {
    struct xdp_md* xdp = p->owner;
    if (bpf_xdp_adjust_head(xdp, delta)) return false;
    p->data = (u8*)(long)xdp->data;
    p->end = (u8*)(long)xdp->data_end;
    return true;
}

SHARED bool packet_sum_is_possible() { return false; }
SHARED bool packet_split_is_possible() { return false; }
SHARED u64 packet_sum(const struct packet* p, u32 offset, u32 length) { return 0; }
SHARED void packet_update_crc32c(const struct packet* p, u32 offset, u32 end, u32 from) {}

#endif
