// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/udp.h"

#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

namespace sluice::proxy {

namespace {

constexpr u64 warning_period_ns = 10'000'000'000;

// Why there is no socket towards a backend.
Ending ending_of(int error) {
    if (out_of_descriptors(error)) return Ending::no_descriptor;
    return error == EAGAIN || error == EADDRNOTAVAIL || error == EADDRINUSE ? Ending::no_port
                                                                            : Ending::connect_failed;
}

}  // namespace

size_t UdpSessions::KeyHash::operator()(const Key& key) const {
    const u64 ports = static_cast<u64>(key.client.port) << 16 | key.vip.port;
    return image_hash(&key.client.address, image_hash(&key.vip.address, ports));
}

UdpSessions::~UdpSessions() {
    for (auto& [key, session] : sessions_) close_sockets(*session);
}

UdpSession* UdpSessions::find(Listener& listener, const Key& key) {
    const auto at = sessions_.find(key);
    return at != sessions_.end() ? at->second.get() : open(listener, key);
}

UdpSession* UdpSessions::open(Listener& listener, const Key& key) {
    const Decision decision = admission_.admit({key.client, key.vip, IPPROTO_UDP});
    const ServiceSettings* service = admission_.service();
    if (service == nullptr) return nullptr;
    if (decision != Decision::allowed) return refuse(*service, Ending::policy);
    Backend backend;
    Ending why = choose_backend(*service, backend);
    if (why != Ending::open) return refuse(*service, why);
    auto session = std::make_unique<UdpSession>();
    UdpSession& s = *session;
    s.listener = &listener;
    s.client = key.client;
    s.vip = key.vip;
    s.backend = backend.endpoint;
    s.backend_id = backend.id;
    why = open_sockets(s);
    if (why != Ending::open) {
        host_.give_session_slot();
        return refuse(*service, why);
    }
    s.service_id = service->id;
    s.service = service->label;
    s.idle_timeout_ms = service->idle_timeout_ms;
    s.rule = admission_.rule();
    s.dry_run = admission_.dry_run();
    s.counters = host_.service_counters(service->id);
    s.backend_counters = host_.backend_counters(service->label, backend);
    s.id = host_.next_id();
    s.start_ns = host_.now_ns();
    s.last_active_ms = to_ms(s.start_ns);
    s.timer.datagrams = true;
    wheel_.set(s.timer, s.last_active_ms + s.idle_timeout_ms);
    host_.opened(s);
    return sessions_.emplace(key, std::move(session)).first->second.get();
}

// Once per datagram; the log has a line now and then.
UdpSession* UdpSessions::refuse(const ServiceSettings& service, Ending why) {
    ServiceCounters& counters = *host_.service_counters(service.id);
    counters.datagrams_lost.add(1);
    counters.without_session[static_cast<size_t>(why)].add(1);
    const bool told = warned_ns_ != 0 && host_.now_ns() - warned_ns_ < warning_period_ns;
    if (why == Ending::no_descriptor && !told) {
        warned_ns_ = host_.now_ns();
        spdlog::warn("proxy: service {}: datagrams are lost: no descriptor is left for another session",
                     service.name);
    }
    return nullptr;
}

// And takes the session's slot.
Ending UdpSessions::choose_backend(const ServiceSettings& service, Backend& backend) {
    if (!admission_.choose(nullptr, 0, backend)) return Ending::no_backend;
    if (service.claims(backend.endpoint)) return Ending::loop;
    return host_.take_session_slot() ? Ending::open : Ending::limited;
}

// Towards the backend, and back towards the client.
Ending UdpSessions::open_sockets(UdpSession& s) {
    const bool group = s.listener->point.group();
    s.reply_fd = group ? reply_sockets_.take(s.vip) : s.listener->fd.get();
    if (s.reply_fd < 0) return ending_of(errno);
    Ending why = open_towards_backend(s);
    if (why == Ending::open && host_.few_descriptors_left(s.fd)) why = Ending::no_descriptor;
    if (why != Ending::open) close_sockets(s);
    return why;
}

Ending UdpSessions::open_towards_backend(UdpSession& s) {
    if (!host_.own_socket()) {
        s.shared = shared_.take(s.backend, s);
        if (s.shared == nullptr) return ending_of(errno);
        s.fd = s.shared->fd.get();
        return Ending::open;
    }
    SocketAddress to{};
    const socklen_t length = to_socket_address(s.backend, to);
    s.fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s.fd < 0 || ::connect(s.fd, &to.any, length) != 0) return ending_of(errno);
    if (const int error = poller_.add(s.fd, EPOLLIN, &s, Watched::udp_session); error != 0)
        return ending_of(error);
    const int on = 1;
    setsockopt(s.fd, SOL_UDP, UDP_GRO, &on, sizeof on);
    return Ending::open;
}

void UdpSessions::close_sockets(UdpSession& s) {
    if (s.shared != nullptr)
        shared_.give_back(*s.shared, s.backend);
    else if (s.fd >= 0)
        ::close(s.fd);
    s.fd = -1;
    s.shared = nullptr;
    if (s.listener->point.group()) reply_sockets_.give_back(s.vip);
}

void UdpSessions::due(UdpSession& s) {
    const u64 at = s.last_active_ms + s.idle_timeout_ms;
    if (to_ms(host_.now_ns()) >= at) return end(s, Ending::done);
    wheel_.set(s.timer, at);
}

void UdpSessions::end(UdpSession& s, Ending ending) {
    if (s.dead) return;
    s.dead = true;
    wheel_.remove(s.timer);
    Record record = record_of(s);
    close_sockets(s);
    host_.give_session_slot();
    host_.ended(s, record, ending);
    auto node = sessions_.extract({s.client, s.vip});
    if (!node.empty()) dead_.push_back(std::move(node.mapped()));  // events of this turn may be about it
}

void UdpSessions::recheck(const std::function<bool(const Listener*)>& listener_stays) {
    std::vector<std::pair<UdpSession*, Ending>> gone;
    for (const auto& [key, session] : sessions_) {
        const Decision decision = admission_.recheck({session->client, session->vip, IPPROTO_UDP});
        if (decision == Decision::denied) {
            gone.emplace_back(session.get(), Ending::policy);
        } else if (decision == Decision::unclaimed || !listener_stays(session->listener) ||
                   admission_.service()->label != session->service ||
                   !admission_.has_backend(session->backend_id, session->backend)) {
            gone.emplace_back(session.get(), Ending::service_removed);
        }
    }
    for (const auto& [session, ending] : gone) end(*session, ending);
}

void UdpSessions::end_all(Ending ending) {
    while (!sessions_.empty()) end(*sessions_.begin()->second, ending);
}

void UdpSessions::collect(std::vector<Record>& out) const {
    for (const auto& [key, session] : sessions_) out.push_back(record_of(*session));
}

Record UdpSessions::record_of(const UdpSession& s) const {
    Record record;
    record.id = s.id;
    record.service = s.service;
    record.protocol = IPPROTO_UDP;
    record.state = ConnectionState::session;
    record.first_sender = CLIENT;
    record.tries = 1;
    record.rule = s.rule;
    record.dry_run = s.dry_run;
    record.duration_ns = host_.now_ns() - s.start_ns;
    record.start_ns = wall_ns() - record.duration_ns;
    record.first_byte_ns = s.first_byte_ns;
    record.side[CLIENT].remote = s.client;
    record.side[CLIENT].local = s.vip;
    record.side[CLIENT].bytes_read = record.side[BACKEND].bytes_written = s.bytes[CLIENT];
    record.side[BACKEND].bytes_read = record.side[CLIENT].bytes_written = s.bytes[BACKEND];
    record.side[BACKEND].remote = s.backend;
    if (s.fd >= 0) record.side[BACKEND].local = local_endpoint(s.fd);
    return record;
}

}  // namespace sluice::proxy
