// SPDX-License-Identifier: Apache-2.0
#include "perf/round_trip/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace sluice::perf {

namespace {

Result<UniqueFd> socket_for(const Endpoint& endpoint, bool tcp) {
    const int type = tcp ? SOCK_STREAM : SOCK_DGRAM;
    UniqueFd fd(socket(endpoint.address.ss_family, type | SOCK_CLOEXEC, 0));
    if (!fd) return system_error(errno, "socket");
    const int on = 1;
    const int buffer = 4 << 20;
    if (tcp) setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    return fd;
}

const sockaddr* raw(const Endpoint& endpoint) { return reinterpret_cast<const sockaddr*>(&endpoint.address); }

}  // namespace

Result<Endpoint> endpoint_of(const std::string& address, u16 port) {
    Endpoint endpoint;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&endpoint.address);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&endpoint.address);
    if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        endpoint.length = sizeof *v4;
    } else if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        endpoint.length = sizeof *v6;
    } else {
        return make_error("{}: expected an IP address", address);
    }
    return endpoint;
}

Result<UniqueFd> connect_to(const Endpoint& to, bool tcp) {
    Result<UniqueFd> fd = socket_for(to, tcp);
    if (!fd) return fd;
    if (connect(fd->get(), raw(to), to.length) != 0) return system_error(errno, "connect");
    if (fcntl(fd->get(), F_SETFL, O_NONBLOCK) != 0) return system_error(errno, "fcntl");
    return fd;
}

Result<UniqueFd> listen_at(const Endpoint& at, bool tcp) {
    Result<UniqueFd> fd = socket_for(at, tcp);
    if (!fd) return fd;
    if (bind(fd->get(), raw(at), at.length) != 0) return system_error(errno, "bind");
    if (tcp && listen(fd->get(), 1024) != 0) return system_error(errno, "listen");
    return fd;
}

}  // namespace sluice::perf
