// SPDX-License-Identifier: Apache-2.0
//
// Flows read out of a table that is in use, without holding anything up. Any thread.
#pragma once

#include <functional>

#include "dataplane/tables/flow_table.h"

namespace sluice::control {

struct FlowCopy {
    struct flow flow;
    struct flow_addresses addresses;
    struct flow_counters counters;
};

struct FlowEnds {
    struct address initiator, responder, backend;
    bool has_backend;
};

// `full`: what the endpoint's address is if it is IPv6.
struct address end_address(const struct flow_endpoint& endpoint, const struct address& full);
FlowEnds ends_of(const FlowCopy& copy);

// Calls back for every flow that is alive at `now` (ticks), from slot `first` on, with a consistent copy,
// until the answer is false. A flow that begins or ends meanwhile may be missed.
void each_live_flow(const struct tables& tables, u32 now, u64 first,
                    const std::function<bool(u64 index, const FlowCopy& copy)>& visit);

}  // namespace sluice::control
