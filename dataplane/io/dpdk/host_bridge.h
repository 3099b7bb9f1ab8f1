// SPDX-License-Identifier: Apache-2.0
//
// The other half of a DPDK port's host path: a thread that carries what the host's stack sends by the
// exception devices to their ports. Apart from the workers, since it makes a system call per frame.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/io/dpdk/dpdk_device.h"
#include "dataplane/io/host_path/host_path.h"

namespace sluice {

class HostBridge {
public:
    struct Span {
        HostPath* host;
        DpdkDevice* device;
    };

    HostBridge() = default;
    ~HostBridge() { stop(); }
    HostBridge(const HostBridge&) = delete;
    HostBridge& operator=(const HostBridge&) = delete;

    // Hosts and devices outlive it, or its stop().
    Status start(std::vector<Span> spans);
    void stop();

private:
    void run();

    std::vector<Span> spans_;
    UniqueFd wake_;
    std::thread thread_;
    std::atomic<bool> stopping_{false};
};

}  // namespace sluice
