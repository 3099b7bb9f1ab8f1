// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/udp.h"

#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base/clock.h"

namespace sluice::proxy {

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
    ServiceCounters* counters = host_.service_counters(service->id);
    Backend backend;
    if (decision != Decision::allowed || !admission_.choose(nullptr, 0, backend) ||
        service->claims(backend.endpoint) || !host_.take_session_slot()) {
        counters->datagrams_lost.add(1);
        return nullptr;
    }
    auto session = std::make_unique<UdpSession>();
    UdpSession& s = *session;
    s.listener = &listener;
    s.client = key.client;
    s.vip = key.vip;
    s.backend = backend.endpoint;
    s.backend_id = backend.id;
    if (!open_sockets(s)) {
        host_.give_session_slot();
        counters->datagrams_lost.add(1);
        return nullptr;
    }
    s.service_id = service->id;
    s.service = service->label;
    s.idle_timeout_ms = service->idle_timeout_ms;
    s.rule = admission_.rule();
    s.dry_run = admission_.dry_run();
    s.counters = counters;
    s.backend_counters = host_.backend_counters(service->label, backend);
    s.id = host_.next_id();
    s.start_ns = host_.now_ns();
    s.last_active_ms = to_ms(s.start_ns);
    s.timer.datagrams = true;
    wheel_.set(s.timer, s.last_active_ms + s.idle_timeout_ms);
    host_.opened(s);
    return sessions_.emplace(key, std::move(session)).first->second.get();
}

// Towards the backend, and back towards the client.
bool UdpSessions::open_sockets(UdpSession& s) {
    const bool group = s.listener->point.group();
    s.reply_fd = group ? reply_sockets_.take(s.vip) : s.listener->fd.get();
    if (s.reply_fd < 0) return false;
    bool ready = false;
    if (host_.own_socket()) {
        SocketAddress to{};
        const socklen_t length = to_socket_address(s.backend, to);
        const int on = 1;
        s.fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ready = s.fd >= 0 && ::connect(s.fd, &to.any, length) == 0 &&
                poller_.add(s.fd, EPOLLIN, &s, Watched::udp_session) == 0;
        if (ready) setsockopt(s.fd, SOL_UDP, UDP_GRO, &on, sizeof on);
    } else {
        s.shared = shared_.take(s.backend, s);
        ready = s.shared != nullptr;
        if (ready) s.fd = s.shared->fd.get();
    }
    ready = ready && !host_.few_descriptors_left(s.fd);
    if (!ready) close_sockets(s);
    return ready;
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
