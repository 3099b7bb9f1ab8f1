// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "control/api/model.h"
#include "control/daemon/naming.h"
#include "dataplane/tables/flow_table.h"

namespace sluice::control {

// One page of live flows, read out of the shared table while it is in use: a flow that changes under the
// reader's eyes is read again, and left out if it keeps changing. `now` is in ticks. Any thread.
api::FlowPage list_flows(const struct tables& tables, const Naming& naming, const api::FlowRequest& request,
                         u32 now);

}  // namespace sluice::control
