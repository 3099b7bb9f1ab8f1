// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets: one per loop and address, in a reuseport group, so that the kernel spreads connections
// over the loops.
#pragma once

#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/proxy/settings.h"
#include "dataplane/proxy/socket_address.h"

namespace sluice::proxy {

struct alignas(8) Listener {
    UniqueFd fd;
    Endpoint at;
    u8 protocol = 6;
    bool exact = true;  // destinations are `at`; else the socket is asked
    bool paused = false;
};

// What a service is to be listened for at.
struct ListenPoint {
    Endpoint at;
    u8 protocol = 6;
    bool operator==(const ListenPoint&) const = default;
};

inline constexpr u32 most_listen_points = 1024;  // of one service, without an sk_lookup program

// Every address and port of the services, one socket each. Fails for a VIP that is a prefix and for more
// ports than most_listen_points: those take an sk_lookup program.
Result<std::vector<ListenPoint>> listen_points(const Snapshot& snapshot);

// A bound, listening (TCP), non-blocking socket. The address need not be the node's (IP_FREEBIND). What
// accepted sockets inherit is set here: TCP_NODELAY, TCP_USER_TIMEOUT.
Result<UniqueFd> open_listener(const ListenPoint& point);

// What long-lived connections get, on the side of the backend, too.
void set_keepalive(int fd);

}  // namespace sluice::proxy
