// SPDX-License-Identifier: Apache-2.0
// libnl's routes, owned. For the sources of this directory.
#pragma once

#include <netlink/route/route.h>

#include <memory>

#include "dataplane/io/netlink/local_routes.h"

namespace sluice::netlink {

struct RoutePut {
    void operator()(rtnl_route* route) const { rtnl_route_put(route); }
};
using RouteObject = std::unique_ptr<rtnl_route, RoutePut>;

// A route of type local to `prefix` in `table`, not in the kernel yet.
Result<RouteObject> local_route(const LocalPrefix& prefix, u32 table);

}  // namespace sluice::netlink
