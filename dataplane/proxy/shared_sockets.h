// SPDX-License-Identifier: Apache-2.0
//
// Sockets towards UDP backends that many sessions share, for when there are more sessions than there should
// be descriptors. A reply tells its session by the socket it comes to and the backend it comes from, so a
// socket carries one session of each backend: N backends need a Nth of the sockets, and of the ports. They
// are not connected; what others than the sessions' backends send to them is nobody's.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/proxy/poller.h"
#include "dataplane/proxy/socket_address.h"

namespace sluice::proxy {

struct UdpSession;

struct alignas(8) SharedSocket {
    UniqueFd fd;  // none while no session uses it
    u32 number = 0;
    std::unordered_map<Endpoint, UdpSession*, EndpointHash> sessions;  // by backend
};

class SharedSockets {
public:
    explicit SharedSockets(Poller& poller) : poller_(poller) {}

    // One for `session` with `backend`; null with errno when none can be had. A socket is an object of
    // Watched::udp_shared, and stays one as long as this lives.
    SharedSocket* take(const Endpoint& backend, UdpSession& session);
    void give_back(SharedSocket& socket, const Endpoint& backend);

    size_t open() const { return open_; }
    size_t bytes() const;

private:
    // Which sockets a backend's sessions use: all below `next` but the free ones.
    struct Use {
        std::vector<u32> free;
        u32 next = 0;
        u32 users = 0;
    };
    using Pool = std::vector<std::unique_ptr<SharedSocket>>;

    bool open(SharedSocket& socket, bool v4);

    Poller& poller_;
    Pool pools_[2];  // IPv6, IPv4
    std::unordered_map<Endpoint, Use, EndpointHash> uses_;
    size_t open_ = 0;
};

}  // namespace sluice::proxy
