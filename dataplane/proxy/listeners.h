// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets: one per loop and point, in a reuseport group, so that the kernel spreads connections
// over the loops. A point is an address and port, or, where an sk_lookup program leads to it, all addresses
// and ports of a protocol and family.
#pragma once

#include <memory>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/proxy/settings.h"
#include "dataplane/proxy/socket_address.h"

namespace sluice::proxy {

// A descriptor with more than one owner.
class SharedFd {
public:
    SharedFd() = default;
    explicit SharedFd(UniqueFd fd) : fd_(std::make_shared<UniqueFd>(std::move(fd))) {}
    int get() const { return fd_ ? fd_->get() : -1; }

private:
    std::shared_ptr<const UniqueFd> fd_;
};

struct ListenPoint {
    Endpoint at;  // for a group where its sockets are bound, which nobody connects to
    u8 protocol = 6;
    bool group = false;  // destinations are what the sk_lookup program leads here
    bool operator==(const ListenPoint&) const = default;
};

struct alignas(8) Listener {
    SharedFd fd;
    ListenPoint point;
};

inline constexpr u32 most_listen_points = 1024;  // of one service, without an sk_lookup program

// Every address and port of the services. Fails for a VIP that is a prefix and for more ports than
// most_listen_points: those take an sk_lookup program.
Result<std::vector<ListenPoint>> listen_points(const Snapshot& snapshot);

// A bound, listening (TCP), non-blocking socket. The address need not be the node's (IP_FREEBIND). What
// accepted sockets inherit is set here: TCP_NODELAY, TCP_USER_TIMEOUT. Of a group, datagrams tell where they
// were sent to.
Result<UniqueFd> open_listener(const ListenPoint& point);

// What long-lived connections get, on the side of the backend, too.
void set_keepalive(int fd);

}  // namespace sluice::proxy
