// SPDX-License-Identifier: Apache-2.0
//
// The physical function that a virtual one is of, as the kernel that drives it tells. Drivers of virtual
// functions do not all notice when it goes down and comes back, which resets them.
#pragma once

#include <optional>
#include <string>

#include "dataplane/packet/target.h"

namespace sluice {

struct PhysicalFunction {
    std::string interface;
    bool up = false;   // it has a carrier
    u64 times_up = 0;  // how often it came to have one
};

// Of the PCI device `address`. Empty: it is no virtual function, or its physical one is not a driver's of
// this kernel, as in a virtual machine that was given the virtual function alone.
std::optional<PhysicalFunction> physical_function_of(const std::string& address,
                                                     const std::string& sysfs = "/sys");

}  // namespace sluice
