// SPDX-License-Identifier: Apache-2.0
//
// /connections and /memory over HTTP, on the node's loopback only.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "control/api/json.h"
#include "control/config/address.h"
#include "dataplane/proxy/proxy.h"

namespace httplib {
class Server;
}

namespace sluice::control {

// The table as JSON: live connections first, then closed ones, oldest first.
api::Json connections_json(const proxy::Proxy::Table& table);
// What this process occupies, by the kernel's and the allocator's books.
api::Json memory_json(const proxy::Proxy* proxy);

class DiagnosticsServer {
public:
    using ProxyOf = std::function<std::shared_ptr<const proxy::Proxy>()>;  // any thread

    // Refuses an address that is not a loopback one.
    static Result<std::unique_ptr<DiagnosticsServer>> start(const config::Endpoint& listen, ProxyOf proxy);
    ~DiagnosticsServer();
    DiagnosticsServer(const DiagnosticsServer&) = delete;
    DiagnosticsServer& operator=(const DiagnosticsServer&) = delete;

private:
    DiagnosticsServer();

    std::unique_ptr<httplib::Server> http_;
    std::atomic<bool> ended_{false};
    std::thread thread_;
};

}  // namespace sluice::control
