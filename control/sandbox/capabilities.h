// SPDX-License-Identifier: Apache-2.0
//
// What the daemon may still ask of the kernel after its start. docs/security.md says what each is for.
#pragma once

#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace sluice::sandbox {

// What the configuration makes use of.
struct Needs {
    bool programs = false;     // XDP programs and XDP sockets
    bool ebpf = false;         // sk_lookup and sockmap programs
    bool dpdk = false;         // any DPDK device
    bool packets = false;      // packet sockets
    bool pci_devices = false;  // a DPDK device on the PCI bus
};

// By their kernel names, sorted: "cap_net_admin".
std::vector<std::string> needed_capabilities(const Needs& needs);

// Of the calling thread, effective.
std::vector<std::string> held_capabilities();

// Leaves the calling thread, and every thread that it starts from now on, what it has of `names`: permitted,
// effective and bounding set. Nothing brings the others back, neither a set-user-id program nor exec.
Status keep_capabilities(const std::vector<std::string>& names);

}  // namespace sluice::sandbox
