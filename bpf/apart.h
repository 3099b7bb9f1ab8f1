// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Stages as global functions of the BPF program: verified one by one (Linux: Documentation/bpf/verifier.rst
// knows them as global subprograms). Numbers travel in the per-CPU context; pointers are found again on
// either side.
#ifndef SLUICE_BPF_APART_H
#define SLUICE_BPF_APART_H

// The pipeline's pointers, from the frame and this CPU's context. False when a map is not there.
SHARED bool pipeline_open(struct pipeline* s, struct xdp_md* xdp) {
    u32 zero = 0;
    s->tables.node = bpf_map_lookup_elem(&node, &zero);
    s->tables.image = bpf_map_lookup_elem(&snapshot, &zero);
    s->context = bpf_map_lookup_elem(&contexts, &zero);
    if (!s->tables.node || !s->tables.image || !s->context) return false;
    s->tables.context = s->context;
    s->packet.owner = xdp;
    s->packet.data = (u8*)(long)xdp->data;
    s->packet.end = (u8*)(long)xdp->data_end;
    s->ref.at = &s->context->place;
    s->ref.flow = NULL;
    return true;
}

SHARED void pipeline_reopen(struct pipeline* s) {
    packet_reload(&s->packet);
    s->ref.flow = flow_at(&s->tables, s->context->place.index);
}

#define STAGE_APART(stage)                                             \
    __attribute__((noinline)) u32 stage##_global(struct xdp_md* xdp) { \
        struct pipeline s;                                             \
        if (!pipeline_open(&s, xdp)) return VERDICT_PASS;              \
        s.ref.flow = flow_at(&s.tables, s.context->place.index);       \
        return stage(&s);                                              \
    }                                                                  \
    SHARED u32 stage##_apart(struct pipeline* s) {                     \
        u32 word = stage##_global(s->packet.owner);                    \
        pipeline_reopen(s);                                            \
        return word;                                                   \
    }

#endif
