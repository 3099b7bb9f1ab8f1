// SPDX-License-Identifier: Apache-2.0
//
// Packets with a mark are for this host, whatever their destination: a rule (ip-rule(8)) and a table with one
// route of type local, for both families. Both carry route_protocol, so that what a killed daemon left is
// known again.
#pragma once

#include "dataplane/io/netlink/kernel_dump.h"

namespace sluice::netlink {

inline constexpr u32 mark_table = 186;
inline constexpr u32 mark_rule_priority = 1860;

class MarkRoutes {
public:
    // `mark`: one bit, and the mask.
    static Result<MarkRoutes> open(u32 mark);

    // Makes them be there or not; what is there already is taken up.
    Status set(bool wanted);

private:
    MarkRoutes(Socket socket, u32 mark) : socket_(std::move(socket)), mark_(mark) {}
    Status set_family(int family, bool wanted);

    Socket socket_;
    u32 mark_;
};

}  // namespace sluice::netlink
