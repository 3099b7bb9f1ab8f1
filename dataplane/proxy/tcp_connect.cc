// SPDX-License-Identifier: Apache-2.0
//
// The way to a backend: chosen, connected to, another one tried.
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "dataplane/proxy/loop.h"

namespace sluice::proxy {

namespace {

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

}  // namespace

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

}  // namespace sluice::proxy
