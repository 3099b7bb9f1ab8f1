// SPDX-License-Identifier: Apache-2.0
//
// Moves bytes from one side of a connection to the other until somebody would block.
//
// Small amounts are copied through the loop's scratch area: one recv, one send, no memory held. A direction
// whose reads keep filling the window is bulk and goes through a pipe by splice. A read that stops short of
// the window emptied the queue: no second call is spent to learn that. Where the sender's FIN is known to
// follow, it leaves in the last segment with the data (MSG_MORE, then shutdown).
#pragma once

#include <vector>

#include "dataplane/proxy/connection.h"

namespace sluice::proxy {

enum class Progress : u8 {
    waiting,   // for a socket
    more,      // there is more to do; others get their turn first
    starved,   // for memory: to be tried again in a while
    finished,  // both directions have ended
    client_failed,
    backend_failed
};

class Relay {
public:
    Relay(BufferPool& buffers, PipePool& pipes, MemoryBound& bound, LoopCounters& counters);

    // Both directions of an established connection.
    Progress run(Connection& c);

    // Reads what the client has sent already, before there is a backend. False: it reset the connection.
    bool read_early(Connection& c);

    // Bytes that go to the sink before anything that is read. False without memory.
    bool hold(Flow& flow, const u8* data, u32 length);

    // Gives back what a connection that ends still holds.
    void release(Connection& c);

    u8* scratch() { return scratch_.data(); }
    static constexpr u32 scratch_bytes = 256u << 10;

private:
    enum class Step : u8 { go_on, wait, starved, source_failed, sink_failed };

    Progress move(Connection& c, u32 from);
    Step write_held(Connection& c, u32 from);
    Step drain_pipe(Connection& c, u32 from);
    Step copy(Connection& c, u32 from);
    Step splice_through(Connection& c, u32 from);
    Step blocked(Connection& c, u32 from);
    u32 window_of(const Flow& flow) const;
    void grow(Connection& c, u32 from, u32 got, u32 asked);
    void count_read(Connection& c, u32 from, u64 bytes);
    void count_written(Connection& c, u32 from, u64 bytes);
    void before_write(Side& sink);
    void charge_pipe(Flow& flow);
    void drop_pipe(Flow& flow);
    void end(Connection& c, u32 from);

    BufferPool& buffers_;
    PipePool& pipes_;
    MemoryBound& bound_;
    LoopCounters& counters_;
    std::vector<u8> scratch_;
};

}  // namespace sluice::proxy
