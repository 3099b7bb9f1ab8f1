// SPDX-License-Identifier: Apache-2.0
//
// A TCP connection between its beginning and its end: relayed, timed, closed, shown.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/base/clock.h"
#include "dataplane/proxy/loop.h"

namespace sluice::proxy {

namespace {

constexpr u64 starved_retry_ms = 16;

// Closing sends a RST (SO_LINGER with a time of zero) instead of a FIN.
void reset_on_close(int fd) {
    const linger now{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

u64 bytes_of(const Connection& c) {
    u64 bytes = 0;
    for (const Side& side : c.side) bytes += side.read + side.written;
    return bytes;
}

}  // namespace

void Loop::client_event(Connection& c, u32 events) {
    Side& side = c.side[CLIENT];
    if ((events & EPOLLERR) != 0) return close(c, Ending::client_reset, true);
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0) side.readable = true;
    if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0) side.peer_shut = true;
    if ((events & EPOLLOUT) != 0) side.writable = true;
    if (c.state == ConnectionState::header) return read_header(c);
    advance(c);
}

void Loop::backend_event(Connection& c, u32 events) {
    Side& side = c.side[BACKEND];
    if (c.state == ConnectionState::connecting) {
        if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
            int error = 0;
            socklen_t length = sizeof error;
            getsockopt(side.fd, SOL_SOCKET, SO_ERROR, &error, &length);
            return connect_failed(c, error != 0 ? error : ECONNRESET);
        }
        if ((events & EPOLLOUT) == 0) return;
        connected(c);
    } else if ((events & EPOLLERR) != 0) {
        return close(c, Ending::backend_reset, true);
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0) side.readable = true;
    if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0) side.peer_shut = true;
    if ((events & EPOLLOUT) != 0) side.writable = true;
    advance(c);
}

void Loop::advance(Connection& c) {
    if (c.state == ConnectionState::connecting || c.state == ConnectionState::header) return;
    const u64 moved = bytes_of(c);
    const bool first = c.side[BACKEND].read == 0;
    const Progress progress = relay_.run(c);
    if (bytes_of(c) != moved) c.last_active_ms = to_ms(now_ns_);
    if (first && c.side[BACKEND].read != 0) {
        c.first_byte_ns = time_to_first_byte(c.start_ns, now_ns_);
        c.counters->first_byte.observe(c.first_byte_ns);
    }
    switch (progress) {
        case Progress::finished: return close(c, Ending::done, false);
        case Progress::client_failed: return close(c, Ending::client_reset, true);
        case Progress::backend_failed: return close(c, Ending::backend_reset, true);
        case Progress::more:
            if (!c.queued) queue_.push_back(&c);
            c.queued = true;
            break;
        case Progress::starved: wheel_.set(c.timer, to_ms(now_ns_) + starved_retry_ms); break;
        case Progress::waiting: break;
    }
    watch(c, CLIENT);
    watch(c, BACKEND);
}

// The client's socket joins the epoll set once there is something to wait for, and EPOLLOUT is asked for once
// a write would have blocked: a short connection needs neither call for most of its events.
void Loop::watch(Connection& c, u32 which) {
    Side& side = c.side[which];
    const bool out = side.watches_out || !side.writable;
    if (side.watched && out == side.watches_out) return;
    const u32 events = out ? watch_both : watch_in;
    const Watched kind = which == CLIENT ? Watched::client : Watched::backend;
    const int error =
        side.watched ? poller_.change(side.fd, events, &c, kind) : poller_.add(side.fd, events, &c, kind);
    side.watched = true;
    side.watches_out = out;
    if (error != 0) close(c, Ending::no_memory, true);
}

void Loop::due(Connection& c) {
    const u64 now = to_ms(now_ns_);
    if (c.state == ConnectionState::header) return refuse(c, Ending::bad_header);
    if (c.state == ConnectionState::connecting) return connect_failed(c, ETIMEDOUT);
    const u64 end = c.last_active_ms + c.idle_timeout_ms;
    if (now >= end) return close(c, Ending::idle_timeout, true);
    for (Side& side : c.side) {
        if (!std::exchange(side.settled, true)) set_keepalive(side.fd);
    }
    wheel_.set(c.timer, end);
    const bool readable = c.side[CLIENT].readable || c.side[BACKEND].readable;
    if (readable && !c.queued) advance(c);  // it starved
}

void Loop::refuse(Connection& c, Ending ending) { close(c, ending, true); }

void Loop::close(Connection& c, Ending ending, bool reset) {
    if (c.dead) return;
    c.dead = true;
    if (c.queued) queue_.erase(std::remove(queue_.begin(), queue_.end(), &c), queue_.end());
    wheel_.remove(c.timer);
    Record record = record_of(c);
    record.state = ConnectionState::closed;
    record.ending = ending;
    record.closed_at_ns = now_ns_;
    if (closed_.add(record, u64{shared_.options.closed_seconds} * 1'000'000'000))
        counters_.closed_forgotten.add(1);
    log_queue_.push(record);
    c.counters->ended[static_cast<size_t>(ending)].add(1);
    if (*c.service != '\0') {
        c.counters->open.sub(1);
        shared_.service_open[c.service_id].fetch_sub(1, std::memory_order_relaxed);
    }
    for (Side& side : c.side) {
        if (side.fd < 0) continue;
        if (&side == &c.side[BACKEND])
            shared_.open_connections[c.backend_id].fetch_sub(1, std::memory_order_relaxed);
        if (reset) reset_on_close(side.fd);
        ::close(side.fd);
        side.fd = -1;
    }
    relay_.release(c);
    if (c.previous != nullptr)
        c.previous->next = c.next;
    else
        live_ = c.next;
    if (c.next != nullptr) c.next->previous = c.previous;
    live_count_.sub(1);
    dead_.push_back(&c);
}

Arrival Loop::arrival_of(const Connection& c) const {
    return {c.client, c.vip, IPPROTO_TCP, c.ingress, c.arrives};
}

void Loop::recheck_all() {
    for (Connection* c = live_; c != nullptr;) {
        Connection* const next = c->next;
        const Decision decision = admission_.recheck(arrival_of(*c));
        if (decision == Decision::denied) {
            close(*c, Ending::policy, true);
        } else if (decision == Decision::unclaimed || admission_.service()->label != c->service) {
            close(*c, Ending::service_removed, true);
        } else if (c->side[BACKEND].fd >= 0 && !admission_.has_backend(c->backend_id, c->backend)) {
            close(*c, Ending::service_removed, true);
        }
        c = next;
    }
}

Record Loop::record_of(const Connection& c) const {
    Record record;
    record.id = c.id;
    record.service = c.service;
    record.state = c.state;
    record.first_sender = c.first_sender;
    record.tries = c.tries;
    record.rule = c.rule;
    record.dry_run = c.dry_run;
    record.thread = number_;
    record.duration_ns = now_ns_ - c.start_ns;
    record.start_ns = wall_ns() - record.duration_ns;
    record.connect_ns = c.connect_ns;
    record.first_byte_ns = c.first_byte_ns;
    for (const u32 which : {u32{CLIENT}, u32{BACKEND}}) {
        const Side& side = c.side[which];
        const Flow& flow = c.flow[which];
        SideRecord& out = record.side[which];
        out.bytes_read = side.read;
        out.bytes_written = side.written;
        out.buffered = flow.held.length() + flow.pipe.length;
        out.buffer_size = flow.held.size + (flow.pipe.valid() ? PipePool::pipe_bytes : 0);
        out.buffer_capacity = flow.splicing ? PipePool::pipe_bytes : flow.window;
        out.high_water = flow.high_water;
        out.read_closed = side.eof;
        out.write_closed = side.shut;
    }
    record.side[CLIENT].remote = c.client;
    record.side[CLIENT].peer = c.peer;
    record.side[CLIENT].local = c.vip;
    record.side[BACKEND].remote = c.backend;
    if (c.side[BACKEND].fd >= 0) record.side[BACKEND].local = local_endpoint(c.side[BACKEND].fd);
    return record;
}

}  // namespace sluice::proxy
