// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/packet/target.h"

namespace sluice::netlink {

// Receive queues in use of a device of this network namespace; 1 where its driver does not tell.
u32 receive_queues(const std::string& interface);

// Address on its bus, "0000:3b:00.0", as the driver tells; empty: a virtual device. Of a device of this
// network namespace, whatever /sys shows.
std::string bus_address(const std::string& interface);

}  // namespace sluice::netlink
