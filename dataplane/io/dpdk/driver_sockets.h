// SPDX-License-Identifier: Apache-2.0
//
// The XDP sockets that net_af_xdp makes when its receive queues are set up. Its driver neither shows them,
// nor closes all of them with the device (a queue stays taken as long as one is open), nor counts all that
// the kernel drops at their rings.
#pragma once

#include <functional>
#include <vector>

#include "dataplane/io/dpdk/dpdk_statistics.h"

namespace sluice {

class DriverSockets {
public:
    // What `set_up` returns, which makes the sockets of the next receive queue. One at a time in a process.
    int made_by(const std::function<int()>& set_up);
    // The next receive queue is number 0 again; what was made stays known.
    void start_over() { by_queue_.clear(); }

    // The descriptor of a receive queue's; -1: the driver made none.
    int of(u16 queue) const { return queue < by_queue_.size() ? by_queue_[queue] : -1; }
    // Adds what the kernel dropped at the rings and the driver does not tell.
    void add_to(DpdkDeviceStatistics& statistics) const;
    // Closes those that are still open; how many.
    u32 close();

private:
    // By its inode it is known again.
    struct Socket {
        int fd = -1;
        u64 inode = 0;
    };
    static bool is_open(const Socket& socket);

    std::vector<int> by_queue_;
    std::vector<Socket> all_;
};

}  // namespace sluice
