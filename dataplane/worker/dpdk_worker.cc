// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/dpdk_worker.h"

namespace sluice {

template class Worker<DpdkPort>;

}  // namespace sluice
