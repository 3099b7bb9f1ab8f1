// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace sluice {

// The PCI address of a DPDK device as the configuration names it, in full: "0000:3b:00.0" of
// "3b:00.0,some=argument". Empty: it is named otherwise, as virtual devices are.
std::string pci_address(const std::string& device);

}  // namespace sluice
