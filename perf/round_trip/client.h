// SPDX-License-Identifier: Apache-2.0
//
// Requests and their answers over sockets, from one thread. A request carries the time at which it was due;
// its answer brings it back, and what has passed since is the round trip.
//
// Closed loop: every connection sends its next request when the last one is answered. A server that stalls is
// then asked less, and its stall seen once for each connection. Open loop: requests are due at fixed times
// and sent then, whatever is still unanswered; all that were due during a stall wait, and all of them count.
#pragma once

#include <optional>
#include <vector>

#include "perf/common/histogram.h"
#include "perf/round_trip/sockets.h"

namespace sluice::perf {

struct RoundTripPlan {
    bool tcp = false;
    u32 connections = 1;
    u32 bytes = 64;      // of a request, and of its answer; 8 at least
    double rate = 0;     // requests per second; 0: closed loop
    double seconds = 1;  // during which requests are sent
};

struct RoundTrips {
    Histogram ns;
    u64 sent = 0;
    double seconds = 0;
};

class Client {
public:
    static Result<Client> create(const Endpoint& to, const RoundTripPlan& plan);

    // UDP answers that have not come a second after the last request are lost: sent and not in the histogram.
    Result<RoundTrips> run();

private:
    struct Connection {
        UniqueFd fd;
        std::vector<u8> arrived;  // TCP: of an answer that is not complete
        u64 asked = 0;            // when its last request was sent
    };

    Status send(Connection& connection, u64 due);
    Status receive(Connection& connection);
    Status answered(Connection& connection, const u8* answer);
    Status wait(u64 until);
    Status ask_what_is_due(u64 now);
    Status ask_again(u64 now);
    bool more(u64 now) const { return now < end_; }

    RoundTripPlan plan_;
    UniqueFd epoll_;
    std::vector<Connection> connections_;
    std::vector<u8> buffer_;
    std::vector<u8> request_;
    RoundTrips found_;
    u64 next_ = 0;    // open loop: when the next request is due
    u64 period_ = 0;  // ns; 0: closed loop
    u64 end_ = 0;
    size_t turn_ = 0;
};

}  // namespace sluice::perf
