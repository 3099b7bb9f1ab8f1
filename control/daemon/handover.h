// SPDX-License-Identifier: Apache-2.0
//
// A planned upgrade: a new daemon takes the node over from the one that runs. Over a socket beside the
// control socket the old one gives away the node's lock and the proxy's listening sockets (SCM_RIGHTS). It
// has let go of everything else by then, its proxied connections excepted, and takes it back if the new one
// fails.
//
//   new -> old  {"upgrade":1,"pid":N}
//   old -> new  {"lock":1} with its descriptor
//   old -> new  {"listener":{...}} with its descriptors, one per thread, for each point
//   old -> new  {"end":true}
//   new -> old  {"ready":true}: it serves; no answer, or the end of the connection: it does not
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/proxy/listeners.h"

namespace sluice::control {

std::string handover_path(const std::string& control_socket);

// Where a running daemon is asked to hand over.
class HandoverSocket {
public:
    static Result<HandoverSocket> open(const std::string& control_socket);
    HandoverSocket(HandoverSocket&&) = default;
    HandoverSocket& operator=(HandoverSocket&&) = default;
    ~HandoverSocket();

    int descriptor() const { return fd_.get(); }
    // The connection of a daemon of the same user that asks; refuses others.
    Result<UniqueFd> accept() const;

private:
    HandoverSocket(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    UniqueFd fd_;
    std::string path_;
};

// The old daemon's side.
class HandoverGiver {
public:
    explicit HandoverGiver(UniqueFd connection) : connection_(std::move(connection)) {}

    Status give(int lock, const std::vector<proxy::HeldPoint>& listeners) const;
    // Whether the new daemon serves; waits for its word.
    bool taken() const;

private:
    UniqueFd connection_;
};

// The new daemon's side.
struct Handover {
    UniqueFd connection;
    UniqueFd lock;
    std::vector<proxy::HeldPoint> listeners;

    // Asks the running daemon. The error says that none runs, or what it answered.
    static Result<Handover> take(const std::string& control_socket);
    // The old daemon may end.
    Status tell_ready() const;
};

}  // namespace sluice::control
