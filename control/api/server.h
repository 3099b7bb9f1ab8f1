// SPDX-License-Identifier: Apache-2.0
//
// The control API: HTTP and JSON over a unix socket that only root may open (docs/api.md).
#pragma once

#include <memory>
#include <string>

#include "control/api/model.h"
#include "control/http/server.h"

namespace sluice::api {

class Server {
public:
    // Listens on `path`, replacing a socket that nobody answers on: the caller holds the node's lock.
    // `provider` outlives the server.
    static Result<std::unique_ptr<Server>> start(const std::string& path, Provider& provider);
    ~Server();  // removes the socket
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

private:
    explicit Server(std::string path);
    void routes(Provider& provider);

    std::string path_;
    http::Server http_;
};

}  // namespace sluice::api
