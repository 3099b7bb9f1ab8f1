// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Stage backend: which of the service's backends a new flow goes to, by its Maglev ring.
#ifndef SLUICE_PIPELINE_BACKEND_H
#define SLUICE_PIPELINE_BACKEND_H

#include "dataplane/pipeline/policy.h"

SHARED_BEGIN

enum { RING_EMPTY = 0xffff };

SHARED u64 ring_hash_of(const struct pipeline_context* c, u8 kind) {
    struct address none = {{0, 0}};
    u32 ports = (u32)c->h.source_port << 16 | c->h.destination_port;
    if (kind == HASH_SOURCE) return ring_hash(&c->h.source, &none, 0, 0);
    if (kind == HASH_SOURCE_AND_PORT)
        return ring_hash(&c->h.source, &none, ports & 0xffff0000, c->h.protocol);
    if (kind == HASH_DESTINATION_PORT) return ring_hash(&none, &none, ports & 0xffff, c->h.protocol);
    return ring_hash(&c->h.source, &c->h.destination, ports, c->h.protocol);
}

// Puts the backend for try number ATTEMPT (0: the one that the ring names) into the context.
SHARED u32 backend_choose(struct pipeline* s, u32 attempt) {
    struct pipeline_context* c = s->context;
    const struct image_service* service = service_record(s, c->service);
    if (!service || !service->ring_size) return drop(REASON_NO_BACKEND);
    u64 hash = ring_hash_of(c, service->hash) + attempt * 0x9e3779b97f4a7c15ULL;
    u32 backends = service->backends;
    u16 position = image_u16(&s->tables, service->ring, ring_slot(hash, service->ring_size));
    if (position == RING_EMPTY) return drop(REASON_NO_BACKEND);
    const struct image_backend* backend =
        (const struct image_backend*)image_record(&s->tables, backends, position, sizeof *backend);
    if (!backend) return drop(REASON_NO_BACKEND);
    c->backend_address = backend->address;
    c->backend_port = backend->port ? backend->port : c->h.destination_port;
    c->backend = backend->id + 1u;
    return 0;
}

SHARED u32 stage_backend(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    if (!c->service || c->direction) return 0;
    return backend_choose(s, 0);
}

SHARED_END

#endif
