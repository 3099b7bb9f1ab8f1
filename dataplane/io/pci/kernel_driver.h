// SPDX-License-Identifier: Apache-2.0
//
// Whose a PCI device is: the kernel's own driver's, or vfio-pci's, by which DPDK drives it. The same steps as
// scripts/bind-device.sh, for a device that is moved while the daemon runs.
#pragma once

#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace sluice {

class KernelDriver {
public:
    // `address`: "0000:3b:00.0".
    explicit KernelDriver(std::string address, std::string sysfs = "/sys");

    // Empty: none.
    std::string name() const;
    // Of the kernel's: it may take a moment after give_back() until there is one.
    std::vector<std::string> interfaces() const;
    // These, and what stands on them: bonds, bridges, VLANs.
    std::vector<std::string> interfaces_and_uppers() const;

    // Why it cannot be given to vfio-pci; empty: it can. Its IOMMU group goes as a whole, so no other of it
    // may be the kernel's.
    std::string obstacle() const;
    // The kernel's interface of it is gone afterwards.
    Status give_to_vfio() const;
    // To the kernel's own driver.
    Status give_back() const;

private:
    std::string place() const { return sysfs_ + "/bus/pci/devices/" + address_; }
    Status write(const std::string& file, const std::string& text) const;
    Status change(const std::string& driver_override) const;

    std::string address_, sysfs_;
};

}  // namespace sluice
