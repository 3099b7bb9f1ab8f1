// SPDX-License-Identifier: Apache-2.0
//
// Sockets that drivers make and do not show. net_af_packet makes one for each queue when the device is
// plugged. net_af_xdp makes them when its receive queues are set up; it neither closes all of them with
// the device (a queue stays taken as long as one is open) nor counts all that the kernel drops at their
// rings.
#pragma once

#include <functional>
#include <vector>

#include "dataplane/io/dpdk/dpdk_statistics.h"

namespace sluice {

class DriverSockets {
public:
    // What the function returns, which makes the XDP sockets of the next receive queue. One at a time in a
    // process, and so for the next.
    int xdp_made_by(const std::function<int()>& set_up);
    // The same, of one which makes packet sockets, one for each queue in their order.
    int packet_made_by(const std::function<int()>& plug);
    // The next receive queue is number 0 again; what was made stays known.
    void start_over() { by_queue_.clear(); }

    // The descriptor of a receive queue's; -1: the driver made none.
    int xdp(u16 queue) const { return queue < by_queue_.size() ? by_queue_[queue] : -1; }
    int packet(u16 queue) const { return queue < packet_.size() ? packet_[queue] : -1; }
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

    std::vector<int> packet_;    // by queue
    std::vector<int> by_queue_;  // XDP, by receive queue
    std::vector<Socket> all_;    // XDP
};

}  // namespace sluice
