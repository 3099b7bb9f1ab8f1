// SPDX-License-Identifier: Apache-2.0
//
// Where the proxy listens. With an sk_lookup program: one socket per loop for each protocol and family in
// use, whatever prefixes and ports the services have. Without one: a socket per loop, address and port.
// Control thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/proxy/accept_balance.h"
#include "dataplane/proxy/listeners.h"

namespace sluice::proxy {

class Listening {
public:
    // `no_bpf`: why no sk_lookup program may be used; empty: it is tried. `cpus`: by loop. `inherited`:
    // sockets of a process before this one, used for the first snapshot's points or closed with its commit().
    Listening(const std::string& no_bpf, const std::vector<int>& cpus, std::vector<HeldPoint> inherited);

    // What a snapshot takes. Nothing is in force before commit().
    struct Change {
        std::vector<HeldPoint> held;               // all of them
        std::vector<std::vector<Listener>> added;  // by loop: those that are new to it
        std::shared_ptr<SocketLookup::Prepared> lookup;
    };
    Result<Change> prepare(const Snapshot& snapshot) const;
    // After the loops have taken what was added.
    Status commit(Change change);

    void stop();

    // Why there is no sk_lookup program; empty: there is.
    const std::string& no_lookup() const { return no_lookup_; }
    size_t sockets() const;
    const std::vector<HeldPoint>& held() const { return held_; }

private:
    std::vector<ListenPoint> group_points(const Snapshot& snapshot) const;
    Result<std::vector<ListenPoint>> wanted_points(const Snapshot& snapshot) const;
    Result<std::vector<SharedFd>> open_all(ListenPoint& point) const;
    Result<HeldPoint> hold(ListenPoint point, Change& change) const;

    size_t loops_;
    std::vector<sock_filter> balance_;  // empty: the kernel's hash
    std::string no_lookup_;
    std::unique_ptr<SocketLookup> lookup_;
    std::vector<HeldPoint> held_;
    std::vector<HeldPoint> inherited_;
};

}  // namespace sluice::proxy
