// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Stage claim: whose is a packet without a flow (or with one that an older snapshot allowed)? A service's,
// the node's own, managed traffic, or nobody's.
#ifndef SLUICE_PIPELINE_CLAIM_H
#define SLUICE_PIPELINE_CLAIM_H

#include "dataplane/pipeline/flow_stage.h"

SHARED_BEGIN

SHARED bool is_echo_request(const struct headers* h) {
    return (h->protocol == PROTOCOL_ICMP && h->icmp_type == ICMP_ECHO && h->family == 4) ||
           (h->protocol == PROTOCOL_ICMPV6 && h->icmp_type == ICMPV6_ECHO);
}

SHARED const struct image_service* service_record(struct pipeline* s, u32 service) {
    const struct image_header* header = image_header_of(&s->tables);
    if (!header || !service || service > header->service_count) return NULL;
    return (const struct image_service*)image_line_at(&s->tables, header->services + service - 1);
}

SHARED u32 claim_for_service(struct pipeline* s, u32 service) {
    struct pipeline_context* c = s->context;
    const struct image_service* record = service_record(s, service);
    if (!record) return VERDICT_PASS;
    if (record->mode == MODE_PROXY) {
        c->service = service;
        c->policy_service_row = record->policy_row;
        return VERDICT_PROXY;
    }
    if (((record->flags & SERVICE_ENGINE) || (port_of(s, c->port)->flags & PORT_ENGINE)) &&
        may_punt(s, PUNT_SERVICE))
        return punt(PUNT_SERVICE);
    c->service = service;
    c->mode = record->mode;
    c->service_flags = record->flags;
    c->policy_service_row = record->policy_row;
    if (!(record->flags & SERVICE_FLOW_TABLE)) c->flags |= CONTEXT_STATELESS;
    return 0;
}

// The reply of a service that keeps no flows: its backend alone tells what to put back.
SHARED u32 claim_stateless_reply(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    const struct image_service* record = service_record(s, c->reverse_service);
    if (!record || (record->flags & SERVICE_FLOW_TABLE)) return VERDICT_PASS;
    if (c->h.flags & HEADER_ICMP_ERROR) return VERDICT_PASS;
    c->direction = 1;
    c->q.source_address = c->vip;
    query_compose(s, c->vip_port, c->h.destination_port, c->h.protocol);
    c->backend_address = c->h.source;
    c->backend_port = c->h.source_port;
    return claim_for_service(s, c->reverse_service);
}

SHARED u32 claim_unserved(struct pipeline* s, u32 destination_flags) {
    struct pipeline_context* c = s->context;
    const struct image_policy* policy = image_policy_of(&s->tables);
    if (!policy) return VERDICT_PASS;
    c->service = 0;
    c->mode = MODE_ROUTE;
    c->policy_service_row = policy->no_service_row;
    if ((destination_flags & DESTINATION_ECHO) && is_echo_request(&c->h)) {
        c->flags |= CONTEXT_ECHO;
        return 0;
    }
    if ((destination_flags & DESTINATION_OWN) || !(destination_flags & DESTINATION_MANAGED))
        return VERDICT_PASS;
    if ((port_of(s, c->port)->flags & PORT_ENGINE) && may_punt(s, PUNT_SERVICE)) return punt(PUNT_SERVICE);
    if (c->h.flags & HEADER_ICMP_ERROR) c->flags |= CONTEXT_STATELESS;
    return 0;
}

SHARED u32 claim_by_destination(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    const struct image_destination* destination = destination_of(s, &c->h.destination);
    if (!destination) return VERDICT_PASS;
    u32 flags = destination->flags;
    c->policy_destination_row = destination->policy_row;
    u32 service = 0;
    if (destination->port_count && has_ports(c->h.protocol))
        service = image_service_of(&s->tables, destination->ports, destination->port_count, c->h.protocol,
                                   c->h.destination_port);
    if (service) return claim_for_service(s, service);
    // A backend answers the node itself, a health check for instance: no client's packet.
    bool own = flags & (u32)DESTINATION_OWN;
    if (!own && (c->flags & (CONTEXT_TRANSLATED | CONTEXT_KNOWN)) == CONTEXT_TRANSLATED) {
        u32 word = claim_stateless_reply(s);
        if (word != VERDICT_PASS) return word;
    }
    return claim_unserved(s, flags);
}

SHARED u32 stage_claim(struct pipeline* s) {
    struct pipeline_context* c = s->context;
    u32 word = claim_by_destination(s);
    if (s->ref.flow &&
        (word == VERDICT_PASS || word == VERDICT_PROXY || c->service != s->ref.flow->service)) {
        flow_remove(&s->tables, &s->ref);  // its service has gone, or another has taken its place
        flow_forget(&s->ref);
        c->flags &= ~(u32)(CONTEXT_KNOWN | CONTEXT_REVALIDATE);
    }
    return word;
}

STAGE_APART(stage_claim)

SHARED_END

#endif
