// SPDX-License-Identifier: Apache-2.0
//
// Addresses of sockets: the dataplane's own form (struct address and a port in host order) to and from the
// kernel's sockaddr.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "dataplane/packet/address.h"
#include "dataplane/tables/image.h"

namespace sluice::proxy {

// Not a sockaddr: both families in one shape, IPv4 as ::ffff:a.b.c.d.
struct Endpoint {
    struct address address {};
    u16 port = 0;  // host order

    bool is_v4() const { return address_is_ipv4(&address); }
    bool operator==(const Endpoint& other) const {
        return port == other.port && address_equal(&address, &other.address);
    }
    std::string text() const;  // "10.0.0.2:4242", "[2001:db8::1]:80"
};

struct EndpointHash {
    size_t operator()(const Endpoint& at) const { return image_hash(&at.address, at.port); }
};

union SocketAddress {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
};

// Length of what was written.
socklen_t to_socket_address(const Endpoint& endpoint, SocketAddress& out);
Endpoint from_socket_address(const SocketAddress& from);

// Of a socket's own end, or its peer's; empty when the kernel does not say.
Endpoint local_endpoint(int fd);
Endpoint peer_endpoint(int fd);

}  // namespace sluice::proxy
