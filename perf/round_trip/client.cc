// SPDX-License-Identifier: Apache-2.0
#include "perf/round_trip/client.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "perf/common/measure.h"

namespace sluice::perf {

namespace {

constexpr u64 second = 1'000'000'000;
constexpr u64 patience = second;            // for the last answers
constexpr u64 udp_give_up = 200'000'000;    // closed loop: then the next request goes out
constexpr u64 longest_sleep = 100'000'000;  // lost answers are looked for that often

}  // namespace

Result<Client> Client::create(const Endpoint& to, const RoundTripPlan& plan) {
    Client client;
    client.plan_ = plan;
    client.period_ = plan.rate > 0 ? static_cast<u64>(1e9 / plan.rate) : 0;
    client.request_.resize(plan.bytes);
    client.buffer_.resize(1 << 16);
    client.epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    for (u32 i = 0; i < plan.connections; i++) {
        Result<UniqueFd> fd = connect_to(to, plan.tcp);
        if (!fd) return fd.error();
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u32 = i;
        if (epoll_ctl(client.epoll_.get(), EPOLL_CTL_ADD, fd->get(), &event) != 0)
            return system_error(errno, "epoll_ctl");
        client.connections_.push_back({std::move(*fd), {}, 0});
    }
    return client;
}

Status Client::send(Connection& connection, u64 due) {
    std::memcpy(request_.data(), &due, sizeof due);
    found_.sent++;
    connection.asked = due;
    const ssize_t sent = ::send(connection.fd.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(request_.size())) return {};
    // A datagram that the device or nobody takes is lost, as on a wire; a stream must not tear.
    if (!plan_.tcp && (errno == EAGAIN || errno == ENOBUFS || errno == ECONNREFUSED)) return {};
    return system_error(sent < 0 ? errno : EAGAIN, "send a request");
}

Status Client::answered(Connection& connection, const u8* answer) {
    u64 due = 0;
    std::memcpy(&due, answer, sizeof due);
    const u64 now = monotonic_ns();
    if (due == 0 || due > now) return make_error("an answer does not carry its request's time");
    found_.ns.record(now - due);
    return period_ == 0 && more(now) ? send(connection, now) : Status{};
}

Status Client::receive(Connection& connection) {
    for (;;) {
        const ssize_t got = recv(connection.fd.get(), buffer_.data(), buffer_.size(), 0);
        if (got == 0) return make_error("the connection has ended");
        if (got < 0 && (errno == EAGAIN || errno == ECONNREFUSED)) return {};
        if (got < 0) return system_error(errno, "receive");
        std::vector<u8>& all = connection.arrived;
        all.insert(all.end(), buffer_.begin(), buffer_.begin() + got);
        size_t at = 0;
        for (; at + plan_.bytes <= all.size(); at += plan_.bytes)
            if (Status status = answered(connection, all.data() + at); !status) return status;
        if (!plan_.tcp && at != all.size()) return make_error("an answer of {} bytes", got);
        all.erase(all.begin(), all.begin() + static_cast<ssize_t>(at));
    }
}

Status Client::wait(u64 until) {
    const u64 now = monotonic_ns();
    const u64 left = until > now ? until - now : 0;
    const timespec sleep{static_cast<time_t>(left / second), static_cast<long>(left % second)};
    epoll_event events[64];
    const int ready = epoll_pwait2(epoll_.get(), events, 64, &sleep, nullptr);
    if (ready < 0 && errno != EINTR) return system_error(errno, "epoll_pwait2");
    for (int i = 0; i < ready; i++)
        if (Status status = receive(connections_[events[i].data.u32]); !status) return status;
    return {};
}

Status Client::ask_what_is_due(u64 now) {
    for (; next_ <= now && next_ < end_; next_ += period_) {
        if (Status status = send(connections_[turn_], next_); !status) return status;
        turn_ = (turn_ + 1) % connections_.size();
    }
    return {};
}

// Closed loop over UDP: a connection whose request or answer was lost asks again.
Status Client::ask_again(u64 now) {
    if (plan_.tcp) return {};
    for (Connection& connection : connections_)
        if (now - connection.asked > udp_give_up)
            if (Status status = send(connection, now); !status) return status;
    return {};
}

Result<RoundTrips> Client::run() {
    const u64 begin = monotonic_ns();
    next_ = begin;
    end_ = begin + static_cast<u64>(plan_.seconds * 1e9);
    for (Connection& connection : connections_)
        if (period_ == 0)
            if (Status status = send(connection, monotonic_ns()); !status) return status.error();
    u64 now = begin;
    // What was due before the end is asked, however late this thread wakes.
    while (more(now) || (period_ && more(next_)) ||
           (found_.ns.count() < found_.sent && now < end_ + patience)) {
        Status status = period_ ? ask_what_is_due(now) : more(now) ? ask_again(now) : Status{};
        if (!status) return status.error();
        const u64 due = period_ && more(next_) ? next_ : more(now) ? end_ : end_ + patience;
        status = wait(std::min(due, now + longest_sleep));
        if (!status) return status.error();
        now = monotonic_ns();
    }
    found_.seconds = static_cast<double>(std::min(now, end_) - begin) / 1e9;
    return std::move(found_);
}

}  // namespace sluice::perf
