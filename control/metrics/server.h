// SPDX-License-Identifier: Apache-2.0
//
// /metrics, /healthz (the process answers) and /readyz (it forwards what it is configured to) over HTTP.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "control/api/model.h"
#include "control/config/address.h"

namespace httplib {
class Server;
}

namespace sluice::metrics {

class Server {
public:
    // `provider` outlives the server. The error names the address.
    static Result<std::unique_ptr<Server>> start(const config::Endpoint& listen, api::Provider& provider);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

private:
    Server();

    std::unique_ptr<httplib::Server> http_;
    std::atomic<bool> ended_{false};
    std::thread thread_;
};

}  // namespace sluice::metrics
