// SPDX-License-Identifier: Apache-2.0
//
// Routes of type `local`, by which the host stack takes addresses that no interface has: those of services
// that are proxied (ip-route(8), "local"; for a whole prefix, too). They are marked with a protocol of ours,
// so that what a killed daemon left is known again.
#pragma once

#include <set>
#include <tuple>
#include <vector>

#include "dataplane/io/netlink/kernel_dump.h"

namespace sluice::netlink {

inline constexpr std::uint8_t route_protocol = 186;  // rtm_protocol of routes that are ours

struct LocalPrefix {
    struct address address {};
    std::uint8_t length = 128;  // counted as in an IPv6 address
    bool operator<(const LocalPrefix& other) const {
        return std::tie(address.word[0], address.word[1], length) <
               std::tie(other.address.word[0], other.address.word[1], other.length);
    }
};

class LocalRoutes {
public:
    static Result<LocalRoutes> open();

    // Makes ours exactly `wanted`: adds what is missing and takes the others away, an earlier daemon's
    // included. What is local by another's doing (an address of an interface) is left alone.
    Status set(const std::set<LocalPrefix>& wanted);

private:
    explicit LocalRoutes(Socket socket) : socket_(std::move(socket)) {}

    Socket socket_;
};

}  // namespace sluice::netlink
