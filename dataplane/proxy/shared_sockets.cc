// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/shared_sockets.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cerrno>

namespace sluice::proxy {

bool SharedSockets::open(SharedSocket& socket, bool v4) {
    socket.fd.reset(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket.fd) return false;
    const int on = 1;
    setsockopt(socket.fd.get(), SOL_UDP, UDP_GRO, &on, sizeof on);
    // A port of its own from the start: the epoll set must not see it unbound.
    SocketAddress any{};
    any.any.sa_family = v4 ? AF_INET : AF_INET6;
    int error = bind(socket.fd.get(), &any.any, v4 ? sizeof any.v4 : sizeof any.v6) == 0 ? 0 : errno;
    if (error == 0) error = poller_.add(socket.fd.get(), EPOLLIN, &socket, Watched::udp_shared);
    if (error != 0) socket.fd.reset();
    if (error == 0) ++open_;
    errno = error;
    return error == 0;
}

SharedSocket* SharedSockets::take(const Endpoint& backend, UdpSession& session) {
    Pool& pool = pools_[backend.is_v4()];
    Use& use = uses_[backend];
    const u32 number = use.free.empty() ? use.next : use.free.back();
    if (number == pool.size()) {
        pool.push_back(std::make_unique<SharedSocket>());
        pool.back()->number = number;
    }
    SharedSocket& socket = *pool[number];
    if (!socket.fd && !open(socket, backend.is_v4())) {
        if (use.users == 0) uses_.erase(backend);
        return nullptr;
    }
    use.free.empty() ? void(++use.next) : use.free.pop_back();
    ++use.users;
    socket.sessions.emplace(backend, &session);
    return &socket;
}

void SharedSockets::give_back(SharedSocket& socket, const Endpoint& backend) {
    socket.sessions.erase(backend);
    const auto use = uses_.find(backend);
    if (--use->second.users == 0)
        uses_.erase(use);
    else
        use->second.free.push_back(socket.number);
    if (!socket.sessions.empty()) return;
    socket.fd.reset();
    --open_;
}

size_t SharedSockets::bytes() const {
    constexpr size_t node = 64;  // of a map, with what the allocator adds
    size_t bytes = 0;
    for (const Pool& pool : pools_) {
        bytes += pool.capacity() * sizeof(SharedSocket*) + pool.size() * sizeof(SharedSocket);
        for (const auto& socket : pool) bytes += socket->sessions.size() * node;
    }
    return bytes;
}

}  // namespace sluice::proxy
