// SPDX-License-Identifier: Apache-2.0
//
// /connections and /memory over HTTP, on the node's loopback only.
#pragma once

#include <functional>
#include <memory>

#include "control/api/json.h"
#include "control/config/address.h"
#include "control/http/server.h"
#include "dataplane/proxy/proxy.h"

namespace sluice::control {

// The table as JSON: live connections first, then closed ones, oldest first.
api::Json connections_json(const proxy::Proxy::Table& table);
// What this process occupies, by the kernel's and the allocator's books.
api::Json memory_json(const proxy::Proxy* proxy);

using ProxyOf = std::function<std::shared_ptr<const proxy::Proxy>()>;  // any thread

// The error names the address.
Result<std::unique_ptr<http::Server>> serve_diagnostics(const config::Endpoint& listen, ProxyOf proxy);

}  // namespace sluice::control
