// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/pci/pci_address.h"

#include <algorithm>
#include <cctype>

namespace sluice {

std::string pci_address(const std::string& device) {
    const std::string name = device.substr(0, device.find(','));
    const auto colons = std::count(name.begin(), name.end(), ':');
    if (colons == 0 || std::isxdigit(static_cast<unsigned char>(name[0])) == 0) return "";
    return colons == 1 ? "0000:" + name : name;
}

}  // namespace sluice
