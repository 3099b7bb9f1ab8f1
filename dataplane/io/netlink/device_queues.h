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

// Whether the device takes the size of its receive buffers in whole KiB, rounded down (SRRCTL.BSIZEPKT of
// Intel's igb, igc and ixgbe): frames longer than that arrive in pieces, which their drivers pass on as
// frames.
bool receives_in_kibibytes(const std::string& interface);

}  // namespace sluice::netlink
