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
    return {from_socket_address(loopback), protocol, true};
}

}  // namespace

Listening::Listening(const std::string& no_bpf, size_t loops) : loops_(loops), no_lookup_(no_bpf) {
    if (!no_lookup_.empty()) return;
    auto lookup = SocketLookup::open();
    if (lookup)
        lookup_ = std::move(*lookup);
    else
        no_lookup_ = lookup.error().message;
    if (!lookup) spdlog::warn("proxy: a listening socket per port: {}", no_lookup_);
}

// Groups that are bound already keep their place.
Result<std::vector<ListenPoint>> Listening::wanted_points(const Snapshot& snapshot) const {
    if (!lookup_) return listen_points(snapshot);
    std::vector<ListenPoint> points;
    for (const ServiceSettings& service : snapshot.services) {
        const ListenPoint fresh = group_point(service.protocol, address_is_ipv4(&service.vip));
        const auto same = [&](const ListenPoint& point) { return group_of(point) == group_of(fresh); };
        if (std::any_of(points.begin(), points.end(), same)) continue;
        const auto before = std::find_if(points_.begin(), points_.end(), same);
        points.push_back(before != points_.end() ? *before : fresh);
    }
    return points;
}

// The first socket of a group chooses the port.
Result<std::vector<SharedFd>> Listening::open_all(ListenPoint& point) const {
    std::vector<SharedFd> fds;
    for (size_t i = 0; i < loops_; ++i) {
        Result<UniqueFd> fd = open_listener(point);
        if (!fd) return fd.error();
        if (point.group) point.at = local_endpoint(fd->get());
        fds.emplace_back(std::move(*fd));
    }
    return fds;
}

const std::vector<SharedFd>* Listening::known(const ListenPoint& point) const {
    const auto at = std::find(points_.begin(), points_.end(), point);
    return at == points_.end() ? nullptr : &fds_[static_cast<size_t>(at - points_.begin())];
}

Result<Listening::Change> Listening::prepare(const Snapshot& snapshot) const {
    Change change;
    change.added.resize(loops_);
    Result<std::vector<ListenPoint>> points = wanted_points(snapshot);
    if (!points) return make_error("{}; there is none: {}", points.error().message, no_lookup_);
    SocketLookup::Sockets sockets{-1, -1, -1, -1};
    for (ListenPoint& point : *points) {
        if (const auto* fds = known(point); fds != nullptr) {
            change.fds.push_back(*fds);
        } else {
            Result<std::vector<SharedFd>> opened = open_all(point);
            if (!opened) return opened.error();
            for (size_t i = 0; i < loops_; ++i) change.added[i].push_back({(*opened)[i], point});
            change.fds.push_back(std::move(*opened));
        }
        if (point.group) sockets[group_of(point)] = change.fds.back().front().get();
    }
    change.points = std::move(*points);
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
    points_ = std::move(change.points);
    fds_ = std::move(change.fds);
    return {};
}

void Listening::stop() {
    lookup_.reset();
    points_.clear();
    fds_.clear();
}

}  // namespace sluice::proxy
