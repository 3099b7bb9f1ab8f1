// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/listening.h"

#include <algorithm>

#include "dataplane/base/log.h"

namespace sluice::proxy {

namespace {

u32 group_of(const ListenPoint& point) { return listener_group(point.protocol, point.at.is_v4()); }

LookupClaims claims_of(const Snapshot& snapshot) {
    LookupClaims claims;
    for (const ServiceSettings& service : snapshot.services) {
        auto& spans = claims[{service.protocol, service.vip, service.vip_length}];
        spans.insert(spans.end(), service.ports.begin(), service.ports.end());
    }
    return claims;
}

// Any port of the loopback address: what leads to the socket is the program.
ListenPoint group_point(u8 protocol, bool v4) {
    SocketAddress loopback{};
    loopback.any.sa_family = v4 ? AF_INET : AF_INET6;
    if (v4)
        loopback.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        loopback.v6.sin6_addr = in6addr_loopback;
    return {from_socket_address(loopback), protocol, Arrives::by_program, false};
}

const HeldPoint* find(const std::vector<HeldPoint>& list, const ListenPoint& point) {
    const auto at =
        std::find_if(list.begin(), list.end(), [&](const HeldPoint& held) { return held.point == point; });
    return at == list.end() ? nullptr : &*at;
}

}  // namespace

Listening::Listening(const std::string& no_bpf, const std::vector<int>& cpus,
                     std::vector<HeldPoint> inherited)
    : loops_(cpus.size()),
      balance_(balance_program(cpus)),
      no_lookup_(no_bpf),
      inherited_(std::move(inherited)) {
    if (!no_lookup_.empty()) return;
    auto lookup = SocketLookup::open();
    if (lookup)
        lookup_ = std::move(*lookup);
    else
        no_lookup_ = lookup.error().message;
    if (!lookup) spdlog::warn("proxy: a listening socket per port: {}", no_lookup_);
}

// Groups that are bound already keep their place.
std::vector<ListenPoint> Listening::group_points(const Snapshot& snapshot) const {
    std::vector<ListenPoint> points;
    for (const ServiceSettings& service : snapshot.services) {
        const ListenPoint fresh = group_point(service.protocol, address_is_ipv4(&service.vip));
        const auto same = [&](const ListenPoint& point) {
            return point.group() && group_of(point) == group_of(fresh);
        };
        if (std::any_of(points.begin(), points.end(), same)) continue;
        ListenPoint chosen = fresh;
        for (const auto* list : {&inherited_, &held_}) {
            for (const HeldPoint& held : *list) {
                if (same(held.point)) chosen = held.point;
            }
        }
        points.push_back(chosen);
    }
    return points;
}

Result<std::vector<ListenPoint>> Listening::wanted_points(const Snapshot& snapshot) const {
    std::vector<ListenPoint> points;
    if (lookup_) {
        points = group_points(snapshot);
    } else {
        Result<std::vector<ListenPoint>> each = listen_points(snapshot);
        if (!each) return each.error();
        points = std::move(*each);
    }
    for (const ListenPoint& point : snapshot.interception_points) points.push_back(point);
    return points;
}

// The first socket of a group chooses the port.
Result<std::vector<SharedFd>> Listening::open_all(ListenPoint& point) const {
    std::vector<SharedFd> fds;
    for (size_t i = 0; i < loops_; ++i) {
        Result<UniqueFd> fd = open_listener(point);
        if (!fd) return fd.error();
        if (point.group()) point.at = local_endpoint(fd->get());
        fds.emplace_back(std::move(*fd));
    }
    if (point.protocol == IPPROTO_TCP && !balance_.empty()) {
        const Status status = balance_accepts(fds.front().get(), balance_);
        if (!status)
            spdlog::warn("proxy: connections are taken on any memory node: {}", status.error().message);
    }
    return fds;
}

// Its sockets: those that the loops have, or inherited ones, or new ones.
Result<HeldPoint> Listening::hold(ListenPoint point, Change& change) const {
    if (const HeldPoint* held = find(held_, point); held != nullptr) return *held;
    HeldPoint taken{point, {}};
    if (const HeldPoint* held = find(inherited_, point); held != nullptr) {
        taken.fds = held->fds;
    } else {
        Result<std::vector<SharedFd>> opened = open_all(taken.point);
        if (!opened) return opened.error();
        taken.fds = std::move(*opened);
    }
    for (size_t i = 0; i < taken.fds.size(); ++i)
        change.added[i % loops_].push_back({taken.fds[i], taken.point});
    return taken;
}

Result<Listening::Change> Listening::prepare(const Snapshot& snapshot) const {
    Change change;
    change.added.resize(loops_);
    Result<std::vector<ListenPoint>> points = wanted_points(snapshot);
    if (!points) return make_error("{}; there is none: {}", points.error().message, no_lookup_);
    SocketLookup::Sockets sockets{-1, -1, -1, -1};
    for (const ListenPoint& point : *points) {
        Result<HeldPoint> held = hold(point, change);
        if (!held) return held.error();
        if (held->point.group()) sockets[group_of(held->point)] = held->fds.front().get();
        change.held.push_back(std::move(*held));
    }
    if (!lookup_) return change;
    auto lookup = SocketLookup::prepare(claims_of(snapshot), sockets);
    if (!lookup) return lookup.error();
    change.lookup = std::move(*lookup);
    return change;
}

Status Listening::commit(Change change) {
    if (lookup_) {
        if (Status status = lookup_->commit(std::move(change.lookup)); !status) return status;
    }
    held_ = std::move(change.held);
    inherited_.clear();
    return {};
}

void Listening::stop() {
    lookup_.reset();
    held_.clear();
}

size_t Listening::sockets() const {
    size_t count = 0;
    for (const HeldPoint& held : held_) count += held.fds.size();
    return count;
}

}  // namespace sluice::proxy
