// SPDX-License-Identifier: Apache-2.0
//
// A TCP connection begins: accepted, judged, its PROXY header read.
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "dataplane/proxy/loop.h"

namespace sluice::proxy {

namespace {

constexpr u32 accepts_per_event = 64;
constexpr u64 header_timeout_ms = 3000;
constexpr const char* own_port = "(own port)";  // in place of a service's name

Endpoint destination_of(const ListenPoint& point, int fd) {
    if (point.arrives == Arrives::as_addressed) return point.at;
    return point.group() ? local_endpoint(fd) : original_destination(fd);
}

// Whether somebody connected to the listener itself, which would have the proxy connect to itself.
bool is_own(const ListenPoint& point, const Endpoint& destination, int fd) {
    if (point.arrives == Arrives::as_addressed || destination.port != point.at.port) return false;
    return point.group() ? destination == point.at : destination == local_endpoint(fd);
}

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

}  // namespace sluice::proxy
