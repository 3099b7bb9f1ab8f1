// SPDX-License-Identifier: Apache-2.0
//
// The life of a TCP connection: accepted, judged, connected to a backend, relayed, ended.
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/base/clock.h"
#include "dataplane/proxy/loop.h"

namespace sluice::proxy {

namespace {

constexpr u32 accepts_per_event = 64;
constexpr u32 watch_in = EPOLLIN | EPOLLRDHUP | EPOLLET;
constexpr u32 watch_both = watch_in | EPOLLOUT;
constexpr u64 starved_retry_ms = 16;
constexpr u64 header_timeout_ms = 3000;

u64 to_ms(u64 ns) { return ns / 1'000'000; }

bool out_of_descriptors(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

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

Ending ending_of_connect(int error) {
    switch (error) {
        case ECONNREFUSED: return Ending::connect_refused;
        case ETIMEDOUT: return Ending::connect_timeout;
        case EADDRNOTAVAIL: return Ending::no_port;
        case EMFILE:
        case ENFILE: return Ending::no_descriptor;
        default: return Ending::connect_failed;
    }
}

Endpoint destination_of(const ListenPoint& point, int fd) {
    if (point.arrives == Arrives::as_addressed) return point.at;
    return point.group() ? local_endpoint(fd) : original_destination(fd);
}

// Whether somebody connected to the listener itself, which would have the proxy connect to itself.
bool is_own(const ListenPoint& point, const Endpoint& destination, int fd) {
    if (point.arrives == Arrives::as_addressed || destination.port != point.at.port) return false;
    return point.group() ? destination == point.at : destination == local_endpoint(fd);
}

constexpr const char* own_port = "(own port)";  // in place of a service's name

}  // namespace

void Loop::accept_from(Listener& listener) {
    for (u32 i = 0; i < accepts_per_event; ++i) {
        SocketAddress from{};
        socklen_t length = sizeof from;
        const int fd = accept4(listener.fd.get(), &from.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(listener, fd, from);
            if (few_descriptors_left(fd)) return pause_accepting();
            continue;
        }
        if (out_of_descriptors(errno)) pause_accepting();
        // What else accept reports is the fate of a connection that has gone: the next event tells the rest.
        return;
    }
}

bool Loop::take(Listener& listener, int fd, const SocketAddress& from) {
    Connection* c = slab_.get();
    c->side[CLIENT].fd = fd;
    c->side[CLIENT].writable = true;
    c->side[CLIENT].readable = true;
    c->side[CLIENT].writes = 2;  // TCP_NODELAY is inherited from the listener
    c->client = from_socket_address(from);
    c->peer = c->client;
    c->arrives = listener.point.arrives;
    c->vip = destination_of(listener.point, fd);
    c->id = shared_.next_id.fetch_add(1, std::memory_order_relaxed);
    c->start_ns = now_ns_;
    c->last_active_ms = to_ms(now_ns_);
    c->next = live_;
    if (live_ != nullptr) live_->previous = c;
    live_ = c;
    live_count_.add(1);
    if (is_own(listener.point, c->vip, fd)) {
        c->counters = &table_.service(own_port);
        c->counters->opened.add(1);
        refuse(*c, Ending::loop);
        return false;
    }
    if (!admit(*c)) return false;
    if (admission_.service()->accept_header) {
        c->state = ConnectionState::header;
        wheel_.set(c->timer, to_ms(now_ns_) + header_timeout_ms);
        read_header(*c);
    } else {
        begin(*c);
    }
    return true;
}

bool Loop::admit(Connection& c) {
    const Decision decision = admission_.admit(arrival_of(c));
    const ServiceSettings* service = admission_.service();
    c.rule = admission_.rule();
    c.dry_run = admission_.dry_run();
    if (service == nullptr) {  // its service has just left the configuration
        c.counters = &table_.service("");
        refuse(c, Ending::service_removed);
        return false;
    }
    c.service = service->label;
    c.service_id = service->id;
    c.idle_timeout_ms = service->idle_timeout_ms;
    c.allow_splice = service->splice.value_or(true);
    c.want_splice = service->splice.value_or(false);
    c.send_header = service->send_header;
    c.counters = service_counters_[service->id];
    c.counters->opened.add(1);
    c.counters->open.add(1);
    const u64 open = shared_.service_open[service->id].fetch_add(1, std::memory_order_relaxed) + 1;
    if (decision == Decision::denied) {
        refuse(c, Ending::policy);
        return false;
    }
    if (service->most_connections != 0 && open > service->most_connections) {
        refuse(c, Ending::limited);
        return false;
    }
    if (service->new_connections > 0) {
        const auto cost = static_cast<u64>(1e9 / service->new_connections);
        if (!meter_step(&shared_.service_rates[service->id], now_ns_, cost, 1'000'000'000)) {
            refuse(c, Ending::limited);
            return false;
        }
    }
    return true;
}

// Bytes stay in the socket until the header is whole: what follows it is then read like any other data.
void Loop::read_header(Connection& c) {
    u8* const bytes = relay_.scratch();
    const ssize_t got = recv(c.side[CLIENT].fd, bytes, longest_header, MSG_PEEK | MSG_DONTWAIT);
    if (got == 0) return refuse(c, Ending::bad_header);
    if (got < 0 && errno != EAGAIN) return close(c, Ending::client_reset, true);
    if (got > 0) {
        HeaderResult parsed = parse_header({bytes, static_cast<size_t>(got)});
        if (parsed.state == Parsed::malformed) return refuse(c, Ending::bad_header);
        if (parsed.state == Parsed::complete) return take_header(c, parsed.header, parsed.length);
    }
    watch(c, CLIENT);
}

void Loop::take_header(Connection& c, const Header& header, u32 length) {
    if (recv(c.side[CLIENT].fd, relay_.scratch(), length, 0) != static_cast<ssize_t>(length))
        return close(c, Ending::client_reset, true);
    wheel_.remove(c.timer);
    const Decision decision =
        admission_.recheck(arrival_of(c));  // the header may have come with a later turn
    if (decision == Decision::unclaimed) return refuse(c, Ending::service_removed);
    if (decision == Decision::denied) return refuse(c, Ending::policy);
    if (!header.local) {
        c.client = header.source;
        // The policy is about the client behind the sender, too.
        if (admission_.recheck(arrival_of(c)) == Decision::denied) return refuse(c, Ending::policy);
    }
    if (c.send_header == HeaderVersion::v2 && !header.extensions.empty()) {
        const std::string out =
            compose_header(HeaderVersion::v2, IPPROTO_TCP, c.client, c.vip, header.extensions);
        c.send_header = HeaderVersion::none;
        if (!relay_.hold(c.flow[CLIENT], reinterpret_cast<const u8*>(out.data()),
                         static_cast<u32>(out.size())))
            return refuse(c, Ending::no_memory);
        choose_and_connect(c);
        return;
    }
    begin(c);
}

// What the client has sent already goes out with the end of the handshake towards the backend.
void Loop::begin(Connection& c) {
    if (c.send_header != HeaderVersion::none) {
        const std::string out = compose_header(c.send_header, IPPROTO_TCP, c.client, c.vip, {});
        if (!relay_.hold(c.flow[CLIENT], reinterpret_cast<const u8*>(out.data()),
                         static_cast<u32>(out.size())))
            return refuse(c, Ending::no_memory);
        choose_and_connect(c);
        return;
    }
    if (!relay_.read_early(c)) return close(c, Ending::client_reset, true);
    choose_and_connect(c);
}

bool Loop::choose_and_connect(Connection& c) {
    int error = 0;
    while (c.tries < most_tries) {
        Backend backend;
        if (!admission_.choose(c.tried, c.tries, backend)) {
            refuse(c, error == 0 ? Ending::no_backend : ending_of_connect(error));
            return false;
        }
        c.tried[c.tries++] = backend.id;
        c.backend = backend.endpoint;
        c.backend_id = backend.id;
        if (!admission_.goes_on() && admission_.service()->claims(c.backend)) {
            refuse(c, Ending::loop);
            return false;
        }
        c.backend_counters = counters_of(c.service, backend);
        if (c.tries > 1) c.counters->retries.add(1);
        error = connect(c);
        if (error == 0) return true;
        if (out_of_descriptors(error)) {
            if (!paused_) pause_accepting();
            break;
        }
        c.backend_counters->failures.add(1);
    }
    refuse(c, ending_of_connect(error));
    return false;
}

// Found by id as long as the id has one endpoint: a backend without a port of its own has many.
BackendCounters* Loop::counters_of(const char* service, const Backend& backend) {
    if (backend.id == admission_.snapshot().original_id()) return &table_.backend(service, {});
    BackendSlot& slot = backend_counters_[backend.id];
    if (slot.counters == nullptr || !(slot.endpoint == backend.endpoint))
        slot = {&table_.backend(service, backend.endpoint), backend.endpoint};
    return slot.counters;
}

int Loop::connect(Connection& c) {
    Side& side = c.side[BACKEND];
    SocketAddress to{};
    const socklen_t length = to_socket_address(c.backend, to);
    const int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    const bool speaks_first = !c.flow[CLIENT].held.empty();
    if (speaks_first) {
        // The handshake's last segment waits for the data that is here already.
        const int off = 0;
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
    }
    int error = 0;
    if (admission_.service()->transparent)
        error = bear_address(fd, c.client);
    else if (admission_.snapshot().mark_connections)
        error = mark_as_own(fd);
    if (error == 0 && ::connect(fd, &to.any, length) != 0 && errno != EINPROGRESS) error = errno;
    side = {};
    side.fd = fd;
    if (error == 0) error = poller_.add(fd, watch_both, &c, Watched::backend);
    if (error != 0) {
        ::close(fd);
        side.fd = -1;
        return error;
    }
    side.watched = side.watches_out = true;
    c.state = ConnectionState::connecting;
    c.connect_started_ns = now_ns_;
    shared_.open_connections[c.backend_id].fetch_add(1, std::memory_order_relaxed);
    c.backend_counters->connections.add(1);
    wheel_.set(c.timer, to_ms(now_ns_) + admission_.service()->connect_timeout_ms);
    return 0;
}

void Loop::connect_failed(Connection& c, int error) {
    c.backend_counters->failures.add(1);
    shared_.open_connections[c.backend_id].fetch_sub(1, std::memory_order_relaxed);
    ::close(c.side[BACKEND].fd);
    c.side[BACKEND].fd = -1;
    // Another backend is chosen by the snapshot in force now, which may not have the service any more.
    if (admission_.recheck(arrival_of(c)) != Decision::allowed) return refuse(c, ending_of_connect(error));
    Backend other;
    if (c.tries >= most_tries || !admission_.choose(c.tried, c.tries, other))
        return refuse(c, ending_of_connect(error));
    choose_and_connect(c);
}

void Loop::connected(Connection& c) {
    c.state = ConnectionState::established;
    c.connect_ns = now_ns_ - c.connect_started_ns;
    c.counters->connect.observe(c.connect_ns);
}

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
        c.first_byte_ns = now_ns_ - c.start_ns;
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
