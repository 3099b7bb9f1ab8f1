// SPDX-License-Identifier: Apache-2.0
//
// Sockets of both ends, UDP or TCP.
#pragma once

#include <netinet/in.h>

#include <string>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice::perf {

struct Endpoint {
    sockaddr_storage address{};
    socklen_t length = 0;
};

Result<Endpoint> endpoint_of(const std::string& address, u16 port);

// Non-blocking. A TCP one has made its connection.
Result<UniqueFd> connect_to(const Endpoint& to, bool tcp);

// Blocking for UDP; a TCP one listens.
Result<UniqueFd> listen_at(const Endpoint& at, bool tcp);

}  // namespace sluice::perf
