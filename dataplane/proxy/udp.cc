// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/udp.h"

#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dataplane/base/clock.h"

namespace sluice::proxy {

namespace {

constexpr u32 messages = 16;          // per system call
constexpr u32 message_bytes = 65536;  // a train that UDP_GRO joined
constexpr u32 control_bytes = 128;
constexpr u32 rounds_per_event = 8;

u64 to_ms(u64 ns) { return ns / 1'000'000; }

// Bytes of each datagram in a train; 0: it is a single one.
u16 segment_of(msghdr& message) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
        int size = 0;
        std::memcpy(&size, CMSG_DATA(c), sizeof size);
        return static_cast<u16>(size);
    }
    return 0;
}

// Where a datagram to a group's listener was sent to.
Endpoint destination_of(msghdr& message) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        const bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR;
        const bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR;
        if (!v4 && !v6) continue;
        SocketAddress to{};
        std::memcpy(&to, CMSG_DATA(c), v4 ? sizeof to.v4 : sizeof to.v6);
        return from_socket_address(to);
    }
    return {};
}

void set_segment(msghdr& message, u8* control, u16 segment, u32 length) {
    message.msg_control = nullptr;
    message.msg_controllen = 0;
    if (segment == 0 || segment >= length) return;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(u16));
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(u16));
    std::memcpy(CMSG_DATA(c), &segment, sizeof segment);
}

u64 datagrams_in(u32 length, u16 segment) {
    return segment == 0 || length == 0 ? 1 : (length + segment - 1) / segment;
}

}  // namespace

struct UdpSessions::Batch {
    mmsghdr headers[messages];
    iovec parts[messages];
    SocketAddress addresses[messages];
    alignas(cmsghdr) u8 controls[messages][control_bytes];

    void prepare(u8* memory, bool with_address) {
        for (u32 i = 0; i < messages; ++i) {
            parts[i] = {memory + i * message_bytes, message_bytes};
            headers[i] = {};
            msghdr& h = headers[i].msg_hdr;
            h.msg_iov = &parts[i];
            h.msg_iovlen = 1;
            h.msg_control = controls[i];
            h.msg_controllen = control_bytes;
            if (!with_address) continue;
            h.msg_name = &addresses[i];
            h.msg_namelen = sizeof addresses[i];
        }
    }
};

size_t UdpSessions::KeyHash::operator()(const Key& key) const {
    const u64 ports = static_cast<u64>(key.client.port) << 16 | key.vip.port;
    return image_hash(&key.client.address, image_hash(&key.vip.address, ports));
}

UdpSessions::~UdpSessions() {
    for (auto& [key, session] : sessions_) ::close(session->fd);
}

UdpSessions::Batch& UdpSessions::batch() {
    if (!batch_) {
        batch_ = std::make_shared<Batch>();
        memory_.resize(messages * message_bytes);
    }
    return *batch_;
}

void UdpSessions::from_clients(Listener& listener) {
    Batch& b = batch();
    for (u32 round = 0; round < rounds_per_event; ++round) {
        b.prepare(memory_.data(), true);
        const int got = recvmmsg(listener.fd.get(), b.headers, messages, MSG_DONTWAIT, nullptr);
        for (int i = 0; i < got; ++i) {
            const Key key{from_socket_address(b.addresses[i]),
                          listener.point.group() ? destination_of(b.headers[i].msg_hdr) : listener.point.at};
            UdpSession* session = find(listener, key);
            if (session != nullptr)
                forward(*session, memory_.data() + static_cast<size_t>(i) * message_bytes,
                        b.headers[i].msg_len, segment_of(b.headers[i].msg_hdr));
        }
        if (got < static_cast<int>(messages)) return;
    }
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
    SocketAddress to{};
    const socklen_t length = to_socket_address(backend.endpoint, to);
    const int fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    auto session = std::make_unique<UdpSession>();
    const bool group = listener.point.group();
    const int reply_fd = group ? reply_sockets_.take(key.vip) : listener.fd.get();
    const bool ready = fd >= 0 && reply_fd >= 0 && ::connect(fd, &to.any, length) == 0 &&
                       poller_.add(fd, EPOLLIN, session.get(), Watched::udp_session) == 0;
    if (!ready) {
        if (group && reply_fd >= 0) reply_sockets_.give_back(key.vip);
        if (fd >= 0) ::close(fd);
        host_.give_session_slot();
        counters->datagrams_lost.add(1);
        return nullptr;
    }
    const int on = 1;
    setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
    UdpSession& s = *session;
    s.fd = fd;
    s.reply_fd = reply_fd;
    s.listener = &listener;
    s.client = key.client;
    s.vip = key.vip;
    s.backend = backend.endpoint;
    s.backend_id = backend.id;
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

void UdpSessions::forward(UdpSession& s, const u8* data, u32 length, u16 segment) {
    iovec part{const_cast<u8*>(data), length};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) u8 control[control_bytes];
    set_segment(message, control, segment, length);
    const u64 count = datagrams_in(length, segment);
    s.last_active_ms = to_ms(host_.now_ns());
    if (sendmsg(s.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        s.counters->datagrams_lost.add(count);
        return;
    }
    s.bytes[CLIENT] += length;
    s.datagrams[CLIENT] += count;
    s.counters->bytes_to_backend.add(length);
    s.counters->datagrams_to_backend.add(count);
    s.backend_counters->bytes_to.add(length);
}

void UdpSessions::from_backend(UdpSession& s, u32 events) {
    if (s.dead) return;
    if ((events & EPOLLERR) != 0) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(s.fd, SOL_SOCKET, SO_ERROR, &error, &length);
        return end(s, error == ECONNREFUSED ? Ending::connect_refused : Ending::connect_failed);
    }
    Batch& b = batch();
    SocketAddress to{};
    const socklen_t to_length = to_socket_address(s.client, to);
    for (u32 round = 0; round < rounds_per_event; ++round) {
        b.prepare(memory_.data(), false);
        const int got = recvmmsg(s.fd, b.headers, messages, MSG_DONTWAIT, nullptr);
        if (got <= 0) return;
        if (s.first_byte_ns == 0) {
            s.first_byte_ns = host_.now_ns() - s.start_ns;
            s.counters->first_byte.observe(s.first_byte_ns);
        }
        s.last_active_ms = to_ms(host_.now_ns());
        u64 counts[messages];
        for (int i = 0; i < got; ++i) {
            msghdr& h = b.headers[i].msg_hdr;
            const u16 segment = segment_of(h);
            b.parts[i].iov_len = b.headers[i].msg_len;
            counts[i] = datagrams_in(b.headers[i].msg_len, segment);
            h.msg_name = &to;
            h.msg_namelen = to_length;
            set_segment(h, b.controls[i], segment, b.headers[i].msg_len);
            h.msg_flags = 0;
        }
        const int put = std::max(sendmmsg(s.reply_fd, b.headers, static_cast<u32>(got), MSG_DONTWAIT), 0);
        for (int i = 0; i < got; ++i) {
            if (i >= put) {
                s.counters->datagrams_lost.add(counts[i]);
                continue;
            }
            const u64 length = b.parts[i].iov_len;
            s.bytes[BACKEND] += length;
            s.datagrams[BACKEND] += counts[i];
            s.counters->bytes_to_client.add(length);
            s.counters->datagrams_to_client.add(counts[i]);
            s.backend_counters->bytes_from.add(length);
        }
        if (got < static_cast<int>(messages)) return;
    }
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
    ::close(s.fd);
    s.fd = -1;
    if (s.listener->point.group()) reply_sockets_.give_back(s.vip);
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
