// SPDX-License-Identifier: Apache-2.0
//
// Asks the kernel, over rtnetlink, for what a KernelView holds.
#pragma once

#include <memory>

#include "dataplane/base/result.h"
#include "dataplane/io/netlink/kernel_view.h"

struct nl_sock;

namespace sluice::netlink {

struct SocketClose {
    void operator()(nl_sock* socket) const;
};
using Socket = std::unique_ptr<nl_sock, SocketClose>;

// Connected to rtnetlink.
Result<Socket> open_route_socket();

// One kind each, whole.
Result<std::vector<Link>> dump_links(nl_sock* socket);
Result<std::vector<OwnAddress>> dump_addresses(nl_sock* socket);
Result<std::vector<Route>> dump_routes(nl_sock* socket);
Result<std::vector<Neighbor>> dump_neighbors(nl_sock* socket);

// Makes the kernel resolve (or confirm) a neighbour, as if it had a packet for it. The answer arrives as a
// change.
Status solicit_neighbor(nl_sock* socket, std::uint32_t ifindex, const struct address& address);

}  // namespace sluice::netlink
