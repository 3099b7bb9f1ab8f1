// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What a stage gets: the packet, the tables, what is known so far, and the flow once there is one. A stage
// answers 0 for "the next one, please", or a verdict word.
#ifndef SLUICE_PIPELINE_STAGE_H
#define SLUICE_PIPELINE_STAGE_H

#include "dataplane/packet/checksum.h"
#include "dataplane/tables/flow_table.h"
#include "dataplane/tables/image_lookup.h"

SHARED_BEGIN

SHARED bool may_punt(const struct pipeline* s, u32 kind) { return punts_of(&s->tables) >> kind & 1; }

SHARED bool has_ports(u8 protocol) {
    return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

SHARED const struct node_port* port_of(const struct pipeline* s, u32 number) {
    return &s->tables.node->ports[number & (NODE_PORTS - 1)];
}

SHARED_END

#endif
