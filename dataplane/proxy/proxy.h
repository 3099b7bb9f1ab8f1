// SPDX-License-Identifier: Apache-2.0
//
// The L4 proxy of the epoll tier: terminates connections to services in mode proxy and relays them to
// backends, one loop per core. Control thread only, but for what says otherwise.
#pragma once

#include <chrono>
#include <set>

#include "dataplane/proxy/access_log.h"
#include "dataplane/proxy/listening.h"
#include "dataplane/proxy/loop.h"

namespace sluice::proxy {

class Proxy {
public:
    // `inherited`: listening sockets of a process before this one.
    static Result<std::unique_ptr<Proxy>> start(const Options& options,
                                                std::vector<HeldPoint> inherited = {});
    ~Proxy();
    Proxy(const Proxy&) = delete;
    Proxy& operator=(const Proxy&) = delete;

    // Takes a snapshot in force: listeners are opened first, so that failing changes nothing.
    Status apply(std::shared_ptr<Snapshot> snapshot);

    // Refuses new connections from now on; the open ones go on.
    void stop_listening();
    void close_all();  // with RST
    u64 connections() const;

    // Live and closed ones of the last minutes. Asks the loops: any thread but theirs.
    struct Table {
        std::vector<Record> live;
        std::vector<Record> closed;
    };
    Result<Table> table() const;

    // Any thread.
    const std::vector<std::unique_ptr<Loop>>& loops() const { return loops_; }
    const MemoryBound& bound() const { return shared_.bound; }
    u64 user_memory() const;  // connections and buffers
    u64 log_lines() const { return log_ ? log_->lines() : 0; }
    u64 log_dropped() const;
    // Adds what was counted by rule.
    void add_rules(std::vector<pair_counters>& counters) const;
    const Listening& listening() const { return *listening_; }

private:
    explicit Proxy(const Options& options) : shared_(options) {}

    template <typename T>
    static Result<T> ask(Loop& loop, std::function<T()> question);

    Shared shared_;
    std::set<std::string> labels_;  // names of services ever configured: records point at them
    std::unique_ptr<Listening> listening_;
    std::vector<std::unique_ptr<Loop>> loops_;
    std::unique_ptr<AccessLog> log_;
};

}  // namespace sluice::proxy
