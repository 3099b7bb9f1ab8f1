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

struct alignas(8) Listener {
    SharedFd fd;
    ListenPoint point;
};

// A point and its sockets, one per loop.
struct HeldPoint {
    ListenPoint point;
    std::vector<SharedFd> fds;
};

inline constexpr u32 most_listen_points = 1024;  // of one service, without an sk_lookup program

// Every address and port of the services. Fails for a VIP that is a prefix and for more ports than
// most_listen_points: those take an sk_lookup program.
Result<std::vector<ListenPoint>> listen_points(const Snapshot& snapshot);

// A bound, listening (TCP), non-blocking socket. The address need not be the node's (IP_FREEBIND). What
// accepted sockets inherit is set here: TCP_NODELAY, TCP_USER_TIMEOUT. Of a group, datagrams tell where they
// were sent to.
Result<UniqueFd> open_listener(const ListenPoint& point);

// Where an accepted connection was going. For one to a port of ours instead of through it, that port.
Endpoint original_destination(int fd);

// Before connect(): the connection bears the address of `client` (IP_TRANSPARENT) and the mark of those that
// do. Errno, 0 for done.
int bear_address(int fd, const Endpoint& client);
// Before connect(): marks it as the proxy's own.
int mark_as_own(int fd);

// What long-lived connections get, on the side of the backend, too.
void set_keepalive(int fd);

}  // namespace sluice::proxy
