// SPDX-License-Identifier: Apache-2.0
//
// Moves the datagrams of UDP sessions, a batch per system call.
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dataplane/proxy/udp.h"

namespace sluice::proxy {

namespace {

constexpr u32 messages = 16;          // per system call
constexpr u32 message_bytes = 65536;  // a train that UDP_GRO joined
constexpr u32 control_bytes = 128;
constexpr u32 rounds_per_event = 8;

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
    UdpSession* sessions[messages];  // whose answer each is; null: nobody's
    u64 datagrams[messages];         // in each
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

void UdpSessions::forward(UdpSession& s, const u8* data, u32 length, u16 segment) {
    iovec part{const_cast<u8*>(data), length};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    SocketAddress to{};
    if (s.shared != nullptr) {
        message.msg_namelen = to_socket_address(s.backend, to);
        message.msg_name = &to;
    }
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
    for (u32 round = 0; round < rounds_per_event; ++round) {
        b.prepare(memory_.data(), false);
        const int got = recvmmsg(s.fd, b.headers, messages, MSG_DONTWAIT, nullptr);
        if (got <= 0) return;
        std::fill_n(b.sessions, got, &s);
        pass_on(b, static_cast<u32>(got));
        if (got < static_cast<int>(messages)) return;
    }
}

void UdpSessions::from_backends(SharedSocket& socket) {
    if (!socket.fd) return;  // its last session has ended in this turn
    Batch& b = batch();
    for (u32 round = 0; round < rounds_per_event; ++round) {
        b.prepare(memory_.data(), true);
        const int got = recvmmsg(socket.fd.get(), b.headers, messages, MSG_DONTWAIT, nullptr);
        if (got <= 0) return;
        for (int i = 0; i < got; ++i) {
            const auto at = socket.sessions.find(from_socket_address(b.addresses[i]));
            b.sessions[i] = at != socket.sessions.end() ? at->second : nullptr;
        }
        pass_on(b, static_cast<u32>(got));
        if (got < static_cast<int>(messages)) return;
    }
}

// The batch's answers to their clients; what leaves by one socket in one call.
void UdpSessions::pass_on(Batch& b, u32 count) {
    for (u32 i = 0; i < count; ++i) {
        UdpSession* const s = b.sessions[i];
        if (s == nullptr) continue;
        if (s->first_byte_ns == 0) {
            s->first_byte_ns = time_to_first_byte(s->start_ns, host_.now_ns());
            s->counters->first_byte.observe(s->first_byte_ns);
        }
        s->last_active_ms = to_ms(host_.now_ns());
        msghdr& h = b.headers[i].msg_hdr;
        const u32 length = b.headers[i].msg_len;
        const u16 segment = segment_of(h);
        b.parts[i].iov_len = length;
        b.datagrams[i] = datagrams_in(length, segment);
        h.msg_namelen = to_socket_address(s->client, b.addresses[i]);
        h.msg_name = &b.addresses[i];
        set_segment(h, b.controls[i], segment, length);
        h.msg_flags = 0;
    }
    for (u32 first = 0, last = 0; first < count; first = last) {
        last = first + 1;
        if (b.sessions[first] == nullptr) continue;
        const int fd = b.sessions[first]->reply_fd;
        while (last < count && b.sessions[last] != nullptr && b.sessions[last]->reply_fd == fd) ++last;
        count_answers(b, first, last, sendmmsg(fd, &b.headers[first], last - first, MSG_DONTWAIT));
    }
}

void UdpSessions::count_answers(Batch& b, u32 first, u32 last, int sent) {
    const u32 left = first + static_cast<u32>(std::max(sent, 0));
    for (u32 i = first; i < last; ++i) {
        UdpSession& s = *b.sessions[i];
        if (i >= left) {
            s.counters->datagrams_lost.add(b.datagrams[i]);
            continue;
        }
        const u64 length = b.parts[i].iov_len;
        s.bytes[BACKEND] += length;
        s.datagrams[BACKEND] += b.datagrams[i];
        s.counters->bytes_to_client.add(length);
        s.counters->datagrams_to_client.add(b.datagrams[i]);
        s.backend_counters->bytes_from.add(length);
    }
}

}  // namespace sluice::proxy
