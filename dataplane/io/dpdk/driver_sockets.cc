// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/driver_sockets.h"

#include <linux/if_xdp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>

namespace sluice {
namespace {

// This process's sockets of one family.
std::set<int> sockets_of(int wanted) {
    std::set<int> found;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
        const int fd = std::atoi(entry.path().filename().c_str());
        int family = 0;
        socklen_t length = sizeof family;
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 && family == wanted)
            found.insert(fd);
    }
    return found;
}

}  // namespace

int DriverSockets::xdp_made_by(const std::function<int()>& set_up) {
    const std::set<int> before = sockets_of(AF_XDP);
    const int result = set_up();
    int made = -1;
    for (const int fd : sockets_of(AF_XDP)) {
        struct stat is {};
        if (before.contains(fd) || fstat(fd, &is) != 0) continue;
        made = fd;
        all_.push_back({fd, is.st_ino});
    }
    if (result == 0) by_queue_.push_back(made);
    return result;
}

int DriverSockets::packet_made_by(const std::function<int()>& plug) {
    const std::set<int> before = sockets_of(AF_PACKET);
    const int result = plug();
    for (const int fd : sockets_of(AF_PACKET)) {
        if (!before.contains(fd)) packet_.push_back(fd);
    }
    return result;
}

bool DriverSockets::is_open(const Socket& socket) {
    struct stat is {};
    return fstat(socket.fd, &is) == 0 && is.st_ino == socket.inode;
}

void DriverSockets::add_to(DpdkDeviceStatistics& statistics) const {
    for (const Socket& socket : all_) {
        xdp_statistics kernel{};
        socklen_t length = sizeof kernel;
        if (!is_open(socket) || getsockopt(socket.fd, SOL_XDP, XDP_STATISTICS, &kernel, &length) != 0)
            continue;
        statistics.missed += kernel.rx_ring_full;
        statistics.receive_errors += kernel.rx_invalid_descs;
        statistics.transmit_errors += kernel.tx_invalid_descs;
    }
}

u32 DriverSockets::close() {
    u32 left = 0;
    for (const Socket& socket : all_) {
        if (!is_open(socket)) continue;
        ::close(socket.fd);
        ++left;
    }
    return left;
}

}  // namespace sluice
