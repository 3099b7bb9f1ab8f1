// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/kernel_workers.h"

namespace sluice {

template class Worker<XskPort>;
template class Worker<PacketPort>;

}  // namespace sluice
