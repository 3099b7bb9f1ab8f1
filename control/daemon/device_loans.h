// SPDX-License-Identifier: Apache-2.0
//
// NICs of the kernel's that `sluicectl tier set IFACE dpdk` lends to DPDK, by vfio-pci, until they are moved
// back or the daemon ends. What the operator had put on the interface is kept meanwhile, and put on whatever
// bears its name: the port's exception device, and later the kernel's interface again. Control thread only.
#pragma once

#include <map>
#include <string>

#include "control/config/config.h"
#include "dataplane/base/result.h"
#include "dataplane/io/netlink/interface_state.h"
#include "dataplane/io/netlink/kernel_view.h"
#include "dataplane/io/pci/kernel_driver.h"

namespace sluice::control {

class DeviceLoans {
public:
    DeviceLoans() = default;
    ~DeviceLoans();  // gives all back
    DeviceLoans(const DeviceLoans&) = delete;
    DeviceLoans& operator=(const DeviceLoans&) = delete;

    // Whether the section names the device that the kernel's interface of that name is of.
    static bool can_be_lent(const config::Interface& interface);
    bool empty() const { return loans_.empty(); }
    bool holds(const std::string& interface) const { return loans_.contains(interface); }

    // Keeps what is on the interface and takes it down, so that nothing passes while it changes hands.
    // Refused, with nothing done, where the node would lose its default route or vfio-pci cannot take the
    // device.
    Status prepare(const config::Interface& interface, const netlink::KernelView& kernel);
    // To vfio-pci, once nothing of ours is on it.
    Status lend(const std::string& interface);
    // Keeps what is on the exception device now.
    void remember(const std::string& interface);
    // To the kernel's driver; the interface has its name again and is up. Also after prepare() alone.
    Status give_back(const std::string& interface);
    // Puts what was kept on the interface of that name; ends a loan that was given back.
    void restore(const std::string& interface);

private:
    struct Loan {
        KernelDriver device;
        netlink::InterfaceState kept;
        u32 mtu = 0;
        bool lent = false;
    };
    std::map<std::string, Loan> loans_;
};

}  // namespace sluice::control
