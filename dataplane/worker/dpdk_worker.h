// SPDX-License-Identifier: Apache-2.0
//
// Workers over DPDK's ports; see kernel_workers.h.
#pragma once

#include "dataplane/io/dpdk/dpdk_port.h"
#include "dataplane/worker/worker.h"

namespace sluice {

extern template class Worker<DpdkPort>;

}  // namespace sluice
