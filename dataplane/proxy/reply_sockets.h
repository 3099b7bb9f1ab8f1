// SPDX-License-Identifier: Apache-2.0
//
// UDP answers leave from the address and port that was asked. A listening socket of a group is bound to
// neither, so there is a socket to send from for each that is in use. Nothing is received on them: the
// sk_lookup program leads all datagrams to the group.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <unordered_map>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/proxy/socket_address.h"

namespace sluice::proxy {

class ReplySockets {
public:
    // Of the endpoint, for one more user; -1 with errno when none can be had.
    int take(const Endpoint& from) {
        Entry& entry = sockets_[from];
        if (!entry.fd) entry.fd = open(from);
        const int fd = entry.fd.get();
        if (fd < 0)
            sockets_.erase(from);
        else
            ++entry.users;
        return fd;
    }

    void give_back(const Endpoint& from) {
        const auto at = sockets_.find(from);
        if (at != sockets_.end() && --at->second.users == 0) sockets_.erase(at);
    }

    size_t count() const { return sockets_.size(); }

private:
    struct Entry {
        UniqueFd fd;
        u32 users = 0;
    };

    static UniqueFd open(const Endpoint& from) {
        SocketAddress address{};
        const socklen_t length = to_socket_address(from, address);
        UniqueFd fd(socket(address.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        const int on = 1;
        setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        if (from.is_v4())
            setsockopt(fd.get(), IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
        else
            setsockopt(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
        if (bind(fd.get(), &address.any, length) != 0) fd.reset();
        return fd;
    }

    std::unordered_map<Endpoint, Entry, EndpointHash> sockets_;
};

}  // namespace sluice::proxy
