// SPDX-License-Identifier: Apache-2.0
//
// What AF_XDP and DPDK workers have in common towards configuration and reports.
#pragma once

#include "control/api/model.h"
#include "control/config/model.h"
#include "dataplane/placement/planner.h"
#include "dataplane/worker/worker.h"

namespace sluice::control {

Polling polling_of(config::Poll poll);

// The report of the worker called `thread`, at `place`: who fills in number and buffers is the caller.
api::WorkerReport report_of(const WorkerStatistics& statistics, const WorkerPlacement& place,
                            std::string thread);

}  // namespace sluice::control
