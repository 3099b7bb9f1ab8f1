// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/base/result.h"

namespace sluice {

// Before DEVICE ("net_memif0,role=server,…") is given to its driver: refuses what the driver would wait in,
// or fail at, since a failure there uses the device's name up (DPDK 22.11). The socket that a killed process
// left where a net_memif server is to listen goes.
Status prepare_device(const std::string& device);

}  // namespace sluice
