// SPDX-License-Identifier: Apache-2.0
//
// The cores on which a device's interrupts are served.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dataplane/placement/topology.h"

namespace sluice {

// The queue that an interrupt's name belongs to: "eth0-TxRx-3", "virtio1-input.3", "mlx5_comp3@pci:...".
// Empty: no receive queue's (link changes, transmission, administration).
std::optional<u32> receive_queue_of(const std::string& action);

// Moves the receive interrupts of one PCI device's queues to cores, and back again when it goes.
class IrqAffinity {
public:
    struct QueueCore {
        u32 queue;
        u32 core;
    };

    // `address`: of the device, "0000:3b:00.0". What cannot be moved stays, and problems() says why.
    IrqAffinity(const std::string& address, const std::vector<QueueCore>& cores, KernelFiles files = {});
    ~IrqAffinity();
    IrqAffinity(const IrqAffinity&) = delete;
    IrqAffinity& operator=(const IrqAffinity&) = delete;

    u32 moved() const { return static_cast<u32>(moved_.size()); }
    const std::vector<std::string>& problems() const { return problems_; }

private:
    struct Moved {
        u32 irq;
        std::string before;  // smp_affinity_list
    };

    void move(u32 irq, u32 core);

    KernelFiles files_;
    std::vector<Moved> moved_;
    std::vector<std::string> problems_;
};

}  // namespace sluice
