// SPDX-License-Identifier: Apache-2.0
//
// /connections and /memory over HTTP, on the node's loopback only.
#pragma once

#include <functional>
#include <memory>

#include "control/config/address.h"
#include "control/http/server.h"

namespace sluice::proxy {
class Proxy;
}

namespace sluice::control {

using ProxyOf = std::function<std::shared_ptr<const proxy::Proxy>()>;  // any thread

// The error names the address.
Result<std::unique_ptr<http::Server>> serve_diagnostics(const config::Endpoint& listen, ProxyOf proxy);

}  // namespace sluice::control
