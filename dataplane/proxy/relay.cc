// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/relay.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::proxy {

namespace {

constexpr u32 small_window = 1u << 10;  // under memory pressure
constexpr u32 first_window = 16u << 10;
constexpr u32 wide_window = 256u << 10;
constexpr u64 bulk_after = 128u << 10;  // bytes moved
constexpr u64 wide_after = 10u << 20;
constexpr u32 splice_bytes = 512u << 10;  // at once
constexpr u32 rounds_per_turn = 8;
constexpr u8 full_reads_to_splice = 2;

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

Relay::Relay(BufferPool& buffers, PipePool& pipes, MemoryBound& bound, LoopCounters& counters)
    : buffers_(buffers), pipes_(pipes), bound_(bound), counters_(counters), scratch_(scratch_bytes) {}

Progress Relay::run(Connection& c) {
    Progress both = Progress::waiting;
    for (const u32 from : {u32{CLIENT}, u32{BACKEND}}) {
        if (c.flow[from].done) continue;
        const Progress one = move(c, from);
        if (one == Progress::client_failed || one == Progress::backend_failed) return one;
        if (one != Progress::waiting && both != Progress::more) both = one;
    }
    if (c.flow[CLIENT].done && c.flow[BACKEND].done) return Progress::finished;
    // The last to end was the client, whose direction was looked at first: nothing is left to shut down.
    for (const u32 from : {u32{CLIENT}, u32{BACKEND}}) {
        Side& sink = c.side[1 - from];
        if (!c.flow[from].done || sink.shut) continue;
        shutdown(sink.fd, SHUT_WR);
        sink.shut = true;
        c.state = ConnectionState::half_closed;
    }
    return both;
}

Progress Relay::move(Connection& c, u32 from) {
    Side& source = c.side[from];
    Flow& flow = c.flow[from];
    for (u32 round = 0; round < rounds_per_turn; ++round) {
        Step step = Step::go_on;
        if (flow.pipe.length > 0)
            step = drain_pipe(c, from);
        else if (!flow.held.empty())
            step = write_held(c, from);
        if (step == Step::go_on && !flow.held.empty()) continue;
        if (step == Step::go_on && source.eof) {
            end(c, from);
            return Progress::waiting;
        }
        if (step == Step::go_on && !source.readable) step = Step::wait;
        if (step == Step::go_on) step = flow.splicing ? splice_through(c, from) : copy(c, from);
        switch (step) {
            case Step::go_on: break;
            case Step::wait: return Progress::waiting;
            case Step::starved: return Progress::starved;
            case Step::source_failed:
                return from == CLIENT ? Progress::client_failed : Progress::backend_failed;
            case Step::sink_failed:
                return from == CLIENT ? Progress::backend_failed : Progress::client_failed;
        }
    }
    return Progress::more;
}

void Relay::end(Connection& c, u32 from) {
    c.flow[from].done = true;
    drop_pipe(c.flow[from]);
}

// The sink takes no more: its sender is not read until it does.
Relay::Step Relay::blocked(Connection& c, u32 from) {
    Flow& flow = c.flow[from];
    c.side[1 - from].writable = false;
    if (!flow.behind) {
        flow.behind = true;
        flow.high_water++;
        counters_.high_water.add(1);
    }
    return Step::wait;
}

// Nagle's algorithm delays a segment only while another is under way, so the first write needs no option.
void Relay::before_write(Side& sink) {
    if (sink.writes >= 2) return;
    if (++sink.writes == 2) {
        const int on = 1;
        setsockopt(sink.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

void Relay::count_read(Connection& c, u32 from, u64 bytes) {
    c.side[from].read += bytes;
    if (c.first_sender == 255) c.first_sender = static_cast<u8>(from);
}

void Relay::count_written(Connection& c, u32 from, u64 bytes) {
    c.side[1 - from].written += bytes;
    if (from == CLIENT) {
        c.counters->bytes_to_backend.add(bytes);
        c.backend_counters->bytes_to.add(bytes);
    } else {
        c.counters->bytes_to_client.add(bytes);
        c.backend_counters->bytes_from.add(bytes);
    }
}

Relay::Step Relay::write_held(Connection& c, u32 from) {
    Side& sink = c.side[1 - from];
    Flow& flow = c.flow[from];
    if (!sink.writable) return Step::wait;
    before_write(sink);
    const int more = c.side[from].eof ? MSG_MORE : 0;
    const ssize_t n = send(sink.fd, flow.held.data + flow.held.start, flow.held.length(),
                           MSG_NOSIGNAL | MSG_DONTWAIT | more);
    if (n < 0) return would_block(errno) ? blocked(c, from) : Step::sink_failed;
    flow.held.start += static_cast<u32>(n);
    counters_.held_bytes.sub(static_cast<u64>(n));
    count_written(c, from, static_cast<u64>(n));
    if (!flow.held.empty()) return blocked(c, from);
    buffers_.put(flow.held);
    flow.behind = false;
    return Step::go_on;
}

u32 Relay::window_of(const Flow& flow) const {
    return bound_.used() + wide_window > bound_.limit() ? small_window : flow.window;
}

void Relay::grow(Connection& c, u32 from, u32 got, u32 asked) {
    Flow& flow = c.flow[from];
    if (got < asked) {
        flow.full_reads = 0;
        return;
    }
    if (flow.full_reads < 255) flow.full_reads++;
    const u64 moved = c.side[from].read;
    if (moved >= wide_after && flow.window < wide_window) flow.window = wide_window;
    const bool bulk = moved >= bulk_after || c.want_splice;
    if (c.allow_splice && bulk && flow.full_reads >= full_reads_to_splice && asked >= first_window)
        flow.splicing = true;
}

Relay::Step Relay::copy(Connection& c, u32 from) {
    Side& source = c.side[from];
    Side& sink = c.side[1 - from];
    Flow& flow = c.flow[from];
    const u32 window = window_of(flow);
    if (window == small_window && bound_.used() >= bound_.limit()) {
        counters_.starved.add(1);
        return Step::starved;
    }
    const ssize_t got = recv(source.fd, scratch_.data(), window, MSG_DONTWAIT);
    if (got < 0) {
        source.readable = false;
        return would_block(errno) ? Step::wait : Step::source_failed;
    }
    const u32 length = static_cast<u32>(got);
    if (length < window) {
        source.readable = false;
        source.eof = got == 0 || source.peer_shut;
    }
    if (got == 0) return Step::go_on;
    counters_.copies.add(1);
    count_read(c, from, length);
    grow(c, from, length, window);
    before_write(sink);
    const int more = source.eof ? MSG_MORE : 0;
    ssize_t put = send(sink.fd, scratch_.data(), length, MSG_NOSIGNAL | MSG_DONTWAIT | more);
    if (put < 0 && !would_block(errno)) return Step::sink_failed;
    put = std::max<ssize_t>(put, 0);
    count_written(c, from, static_cast<u64>(put));
    if (static_cast<u32>(put) == length) return Step::go_on;
    if (!hold(flow, scratch_.data() + put, length - static_cast<u32>(put))) return Step::sink_failed;
    return blocked(c, from);
}

bool Relay::hold(Flow& flow, const u8* data, u32 length) {
    Buffer buffer = buffers_.get(length);
    if (buffer.data == nullptr) return false;
    std::memcpy(buffer.data, data, length);
    buffer.end = length;
    flow.held = buffer;
    counters_.held_bytes.add(length);
    return true;
}

bool Relay::read_early(Connection& c) {
    Side& client = c.side[CLIENT];
    const ssize_t got = recv(client.fd, scratch_.data(), first_window, MSG_DONTWAIT);
    if (got < 0) return would_block(errno);
    if (got == 0) {
        client.eof = true;
        return true;
    }
    client.readable = got == first_window;
    count_read(c, CLIENT, static_cast<u64>(got));
    return hold(c.flow[CLIENT], scratch_.data(), static_cast<u32>(got));
}

Relay::Step Relay::splice_through(Connection& c, u32 from) {
    Side& source = c.side[from];
    Flow& flow = c.flow[from];
    if (window_of(flow) == small_window) return copy(c, from);
    if (!flow.pipe.valid()) flow.pipe = pipes_.get();
    if (!flow.pipe.valid()) {
        flow.splicing = false;
        return copy(c, from);
    }
    const ssize_t got = splice(source.fd, nullptr, flow.pipe.write_end, nullptr, splice_bytes,
                               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (got < 0) {
        if (!would_block(errno)) return Step::source_failed;
        source.readable = false;
        // Nothing under way: the pipe is somebody else's until there is.
        drop_pipe(flow);
        return Step::wait;
    }
    if (got == 0) {
        source.eof = true;
        source.readable = false;
        return Step::go_on;
    }
    counters_.splices.add(1);
    count_read(c, from, static_cast<u64>(got));
    counters_.held_bytes.add(static_cast<u64>(got));
    flow.pipe.length = static_cast<u32>(got);
    flow.full_reads = got >= static_cast<ssize_t>(first_window) ? full_reads_to_splice
                                                                : static_cast<u8>(flow.full_reads / 2);
    if (flow.full_reads == 0) flow.splicing = false;
    return drain_pipe(c, from);
}

Relay::Step Relay::drain_pipe(Connection& c, u32 from) {
    Side& sink = c.side[1 - from];
    Flow& flow = c.flow[from];
    if (!sink.writable) return Step::wait;
    before_write(sink);
    const ssize_t put = splice(flow.pipe.read_end, nullptr, sink.fd, nullptr, flow.pipe.length,
                               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (put < 0 && !would_block(errno)) return Step::sink_failed;
    if (put > 0) {
        flow.pipe.length -= static_cast<u32>(put);
        counters_.held_bytes.sub(static_cast<u64>(put));
        count_written(c, from, static_cast<u64>(put));
    }
    charge_pipe(flow);
    if (flow.pipe.length > 0) return blocked(c, from);
    flow.behind = false;
    return Step::go_on;
}

// What stays in a pipe is memory that its receiver makes us hold, as a buffer is.
void Relay::charge_pipe(Flow& flow) {
    if (flow.pipe.length > flow.charged)
        bound_.take_anyway(flow.pipe.length - flow.charged);
    else
        bound_.give(flow.charged - flow.pipe.length);
    flow.charged = flow.pipe.length;
}

void Relay::drop_pipe(Flow& flow) {
    counters_.held_bytes.sub(flow.pipe.length);
    bound_.give(flow.charged);
    flow.charged = 0;
    pipes_.put(flow.pipe);
}

void Relay::release(Connection& c) {
    for (Flow& flow : c.flow) {
        counters_.held_bytes.sub(flow.held.length());
        buffers_.put(flow.held);
        drop_pipe(flow);
    }
}

}  // namespace sluice::proxy
