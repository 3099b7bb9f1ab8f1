// SPDX-License-Identifier: Apache-2.0
//
// DPDK's environment (EAL) in this process: started at most once, when the first DPDK port is configured, and
// private to it: no shared configuration, no files under /run, no multi-process, no telemetry socket.
#pragma once

#include <string>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice {

struct EalOptions {
    u64 memory = 0;  // bytes that its users will ask of it
    u64 later = 0;   // bytes on top that they may ask for later on: reserved without huge pages
};

class Eal {
public:
    // Again once it runs: nothing. A failed start cannot be repeated in the same process: DPDK refuses to.
    // The error has DPDK's words. Huge pages are used where as many are free as `memory` needs; else plain
    // pages.
    static Status start(const EalOptions& options);
    static bool running();

    // What a start without huge pages went without, and why; empty with them.
    static const std::string& shortcoming();

    // What DPDK has logged as an error since the last call, joined by "; ". Control thread only.
    static std::string take_complaints();

    // While one lives, what DPDK logs is expected: it goes to the debug log, and is no complaint.
    struct Quiet {
        Quiet();
        ~Quiet();
    };

    // Gives the calling thread an lcore number, and with it caches of its own in memory pools. Without one
    // (RTE_MAX_LCORE threads have one) it works, more slowly.
    static void register_thread();
    static void unregister_thread();
};

// Free huge pages of this machine, all sizes and nodes, in bytes.
u64 free_hugepage_bytes(const std::string& sysfs = "/sys/kernel/mm/hugepages");

}  // namespace sluice
