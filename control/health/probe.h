// SPDX-License-Identifier: Apache-2.0
//
// One probe of one backend, on an event loop: nothing here blocks.
//
//   tcp   the connection is accepted
//   http  a GET of the path over HTTP/1.1 is answered with a status from 200 to 399
//   udp   an empty datagram leaves, and no ICMP error answers it until the time is up; another answer is a
//         success at once
#pragma once

#include <sys/socket.h>

#include <functional>
#include <string>

#include "control/config/model.h"
#include "dataplane/base/event_loop.h"
#include "dataplane/packet/target.h"

namespace sluice::health {

enum class Outcome : u8 {
    success,
    failure,
    unable  // this machine could not even ask: it says nothing about the backend
};

struct Subject {
    config::HealthType type = config::HealthType::tcp;
    config::Address address;
    u16 port = 0;
    std::string path;  // http
};

class Probe {
public:
    // The reason is one line for an operator; empty with a success.
    using Done = std::function<void(Outcome, const std::string& reason)>;

    // `loop` outlives the probe.
    Probe(EventLoop& loop, Subject subject) : loop_(loop), subject_(std::move(subject)) {}
    ~Probe() { close(); }
    Probe(const Probe&) = delete;
    Probe& operator=(const Probe&) = delete;

    // Calls `done` once: at once when the answer is known at once, or from the loop, or from expire(). Not
    // while one is under way. `done` must not destroy the probe.
    void start(Done done);
    // The time is up. What has come meanwhile still counts: the loop may have been busy with other things.
    void expire();
    bool running() const { return static_cast<bool>(done_); }

private:
    enum class Stage : u8 { connecting, answering };

    Status open();
    void ready();
    void connected();
    void read_answer();
    void read_datagram();
    void drain_errors();
    void finish(Outcome outcome, const std::string& reason = "");
    void close();
    bool is_udp() const { return subject_.type == config::HealthType::udp; }

    EventLoop& loop_;
    Subject subject_;
    Done done_;
    UniqueFd fd_;  // of udp it stays open: an error about a datagram may come after its probe
    EventLoop::Id watch_ = 0;
    Stage stage_ = Stage::connecting;
    std::string answer_;
    int late_error_ = 0;  // of a datagram, after its probe
};

}  // namespace sluice::health
