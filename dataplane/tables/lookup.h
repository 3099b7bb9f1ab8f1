// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The seam: where a table lies. BPF maps in the XDP program, plain memory in the native engine; what is done
// with the bytes is the same code above. Besides packet/target.h the only header that asks for which target
// it is compiled.
#ifndef SLUICE_TABLES_LOOKUP_H
#define SLUICE_TABLES_LOOKUP_H

#include "dataplane/packet/packet.h"
#include "dataplane/tables/context.h"
#include "dataplane/tables/counters.h"
#include "dataplane/tables/image.h"

SHARED_BEGIN

// Rate meters: the theoretical arrival time of the generic cell rate algorithm, ns of CLOCK_MONOTONIC.
struct source_meter {
    u64 key;  // hash of rule and source address
    u64 time;
};
struct source_meter_bucket {
    struct source_meter meter[4];
};
enum { METER_BUCKET_SIZE = 4 };

SHARED_END

#if NATIVE

namespace sluice {

// What the native engine asks of its surroundings outside the hot path. Answers are verdict words, 0 for
// done.
struct Surroundings {
    virtual ~Surroundings() = default;
    // Next hop towards DESTINATION by the kernel's routes and neighbours.
    virtual u32 route(const pipeline_context& context, const address& destination, next_hop& hop) = 0;
    // Ports of a fragment's first fragment, into context.h; or remembers a first one's.
    virtual u32 fragment(pipeline_context& context) = 0;
    // The epoll tier's verdict about the packet's flow under an evaluate rule: 0, a drop, VERDICT_WAIT while
    // it is undecided, or VERDICT_EVALUATE where nobody can be asked.
    virtual u32 evaluate(pipeline_context&, const image_rule&) { return VERDICT_EVALUATE; }
};

struct tables {
    const node_state* node;
    const image_line* image;
    u32 image_lines;
    u32 scratch;  // this worker's scratch slot, 0 to FLOW_SCRATCH - 1
    u64* flow_tags;
    struct flow* flows;
    struct flow_addresses* flow_addresses;
    struct flow_counters* flow_counters;
    u64* meters;
    source_meter_bucket* source_meters;
    struct port_counters* port_counters;        // [NODE_PORTS]
    struct backend_counters* backend_counters;  // by backend id
    struct pair_counters* rule_counters;        // by rule id
    struct worker_counters* counters;
    Surroundings* surroundings;
    u64 now_ns;  // CLOCK_MONOTONIC, taken once per batch
    u32 now;     // the same in ticks
    u8 stamp;    // route_stamp() of the batch
    u32 punts;   // bit per punt_kind handed to somebody else; the engine itself: 0
};

// The entry at INDEX. Shared code asks whether there is one, as the verifier wants it: here there always is.
template <typename T>
SHARED T* entry_at(T* entries, u32 index) {
    T* entry = entries + index;
    if (entry == nullptr) __builtin_unreachable();
    return entry;
}

SHARED u64* flow_tags_at(const struct tables* t, u32 bucket) { return entry_at(t->flow_tags, bucket); }
SHARED struct flow* flow_at(const struct tables* t, u32 index) { return entry_at(t->flows, index); }
SHARED struct flow_addresses* flow_addresses_at(const struct tables* t, u32 index) {
    return entry_at(t->flow_addresses, index);
}
SHARED struct flow_counters* flow_counters_at(const struct tables* t, u32 index) {
    return entry_at(t->flow_counters, index);
}
SHARED u32 flow_scratch_index(const struct tables* t) { return t->node->flow_capacity + t->scratch; }

SHARED const struct image_line* image_line_at(const struct tables* t, u32 line) {
    return line < t->image_lines ? t->image + line : nullptr;
}

SHARED u64* meter_at(const struct tables* t, u32 id) { return t->meters + id; }
SHARED struct source_meter_bucket* source_meters_at(const struct tables* t, u32 bucket) {
    return t->source_meters + bucket;
}
SHARED u64 clock_ns(const struct tables* t) { return t->now_ns; }
SHARED u32 clock_ticks(const struct tables* t) { return t->now; }
SHARED u8 stamp_of(const struct tables* t, u32) { return t->stamp; }
SHARED u32 punts_of(const struct tables* t) { return t->punts; }

SHARED struct port_counters* port_counters_at(const struct tables* t, u32 port) {
    return entry_at(t->port_counters, port);
}
SHARED struct backend_counters* backend_counters_at(const struct tables* t, u32 id) {
    return entry_at(t->backend_counters, id);
}
SHARED struct pair_counters* rule_counters_at(const struct tables* t, u32 id) {
    return entry_at(t->rule_counters, id);
}
SHARED struct worker_counters* worker_counters_of(const struct tables* t) { return t->counters; }

SHARED u32 kernel_route(const struct tables* t, struct packet*, const struct pipeline_context* c,
                        const struct address* to, struct next_hop* hop) {
    return t->surroundings->route(*c, *to, *hop);
}
SHARED u32 fragment_ports(const struct tables* t, struct pipeline_context* c) {
    return t->surroundings->fragment(*c);
}
SHARED u32 evaluation_of(const struct tables* t, struct pipeline_context* c, const struct image_rule* rule) {
    return t->surroundings ? t->surroundings->evaluate(*c, *rule) : (u32)VERDICT_EVALUATE;
}

// A native frame: the bytes lie in a buffer with head room before them. packet.owner points at one.
struct frame {
    u8* buffer;  // the least that packet.data may become
};

SHARED void packet_reload(struct packet*) {}
SHARED u64 forget(const struct tables*, u64 value) { return value; }

// Moves the start of the packet by DELTA bytes (negative: prepends). False when there is no room.
SHARED bool packet_resize(struct packet* p, int delta) {
    if (delta < 0 && p->data - static_cast<frame*>(p->owner)->buffer < -delta) return false;
    p->data += delta;
    return true;
}

// Whether sums over whole packets can be taken here; the XDP program leaves them to the engine
// (PUNT_CHECKSUM).
SHARED bool packet_sum_is_possible() { return true; }

// Whether a packet over the MTU can leave in fragments from here; the XDP program leaves it to the engine
// (PUNT_TOO_BIG).
SHARED bool packet_split_is_possible() { return true; }

// One's-complement sum of LENGTH bytes at OFFSET.
u64 packet_sum(const struct packet* p, u32 offset, u32 length);
// An SCTP packet's CRC32c (RFC 9260, 6.8) after the word at OFFSET, its ports, changed from FROM to what it
// is now.
void packet_update_crc32c(const struct packet* p, u32 offset, u32 end, u32 from);

}  // namespace sluice

#else

#include "bpf/maps.h"

#endif

SHARED_BEGIN

// A slot as found or claimed: valid as long as flow->version is at->version. The numbers lie in the context,
// not on the stack: what was found where makes no difference to the verifier then.
struct flow_ref {
    struct flow* flow;
    struct flow_place* at;
};

// What a stage gets: the packet, the tables, what is known so far, and the flow once there is one.
struct pipeline {
    struct packet packet;
    struct tables tables;
    struct pipeline_context* context;
    struct flow_ref ref;  // ref.flow: NULL until known; ref.at is &context->place
};

// No flow: also what the numbers say, from which a stage called apart finds its way.
SHARED void flow_forget(struct flow_ref* ref) {
    ref->flow = NULL;
    ref->at->index = (u32)FLOW_NONE;
}

SHARED_END

// STAGE_APART(stage) defines stage_apart(): natively the stage itself; in BPF a function that the verifier
// looks at by itself, once, so that the paths before it and within it add up instead of multiplying. All it
// gets is the context.
#if NATIVE
#define STAGE_APART(stage) \
    SHARED u32 stage##_apart(struct pipeline* s) { return stage(s); }
#else
#include "bpf/apart.h"
#endif

SHARED_BEGIN

SHARED void worker_count_eviction(const struct tables* t, bool expired) {
    struct worker_counters* counters = worker_counters_of(t);
    if (!counters) return;
    if (expired)
        counters->flows_reclaimed++;
    else
        counters->flows_evicted++;
}

SHARED const struct image_header* image_header_of(const struct tables* t) {
    return (const struct image_header*)image_line_at(t, 0);  // in BPF only its first line may be read by this
}

enum image_lpm_index { LPM_DESTINATION = 0, LPM_SOURCE = 1, LPM_ROUTES = 2 };

SHARED const struct image_lpm* image_lpm_of(const struct tables* t, u32 index) {
    const struct image_lpm* tries = (const struct image_lpm*)image_line_at(t, 1);
    if (!tries) return NULL;
    OPAQUE(tries);
    return tries + index;
}

SHARED const struct image_policy* image_policy_of(const struct tables* t) {
    return (const struct image_policy*)image_line_at(t, 2);
}

SHARED_END

#endif
