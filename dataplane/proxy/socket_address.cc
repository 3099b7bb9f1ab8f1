// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/socket_address.h"

#include <arpa/inet.h>

#include <cstring>

#include "dataplane/packet/text.h"

namespace sluice::proxy {

std::string Endpoint::text() const { return endpoint_text(address, port); }

socklen_t to_socket_address(const Endpoint& endpoint, SocketAddress& out) {
    if (endpoint.is_v4()) {
        out.v4 = {};
        out.v4.sin_family = AF_INET;
        out.v4.sin_port = htons(endpoint.port);
        out.v4.sin_addr.s_addr = address_to_ipv4(&endpoint.address).raw;
        return sizeof out.v4;
    }
    out.v6 = {};
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(endpoint.port);
    std::memcpy(&out.v6.sin6_addr, &endpoint.address, sizeof out.v6.sin6_addr);
    return sizeof out.v6;
}

Endpoint from_socket_address(const SocketAddress& from) {
    Endpoint endpoint;
    if (from.any.sa_family == AF_INET) {
        endpoint.address = address_from_ipv4_word(from.v4.sin_addr.s_addr);
        endpoint.port = ntohs(from.v4.sin_port);
    } else if (from.any.sa_family == AF_INET6) {
        std::memcpy(&endpoint.address, &from.v6.sin6_addr, sizeof endpoint.address);
        endpoint.port = ntohs(from.v6.sin6_port);
    }
    return endpoint;
}

Endpoint local_endpoint(int fd) {
    SocketAddress address{};
    socklen_t length = sizeof address;
    if (getsockname(fd, &address.any, &length) != 0) return {};
    return from_socket_address(address);
}

Endpoint peer_endpoint(int fd) {
    SocketAddress address{};
    socklen_t length = sizeof address;
    if (getpeername(fd, &address.any, &length) != 0) return {};
    return from_socket_address(address);
}

}  // namespace sluice::proxy
