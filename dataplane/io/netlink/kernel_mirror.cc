// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/netlink/kernel_mirror.h"

#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <sys/epoll.h>

#include <algorithm>

#include "dataplane/base/log.h"

namespace sluice::netlink {

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds shortest_pause{5};
constexpr std::chrono::seconds longest_pause{2};
constexpr int pause_factor = 4;  // at most a fifth of the thread's time goes into asking
constexpr int hints_buffer = 1 << 20;

}  // namespace

RouteAnswer KernelReader::resolve(const struct address& destination, std::uint32_t hash) {
    const KernelView* view = nullptr;
    do {
        view = mirror_.current_.load();
        in_use_.store(view);
    } while (view != mirror_.current_.load());
    RouteAnswer answer = view->resolve(destination, hash);
    in_use_.store(nullptr, std::memory_order_release);
    return answer;
}

Result<std::unique_ptr<KernelMirror>> KernelMirror::create(EventLoop& loop, Changed changed) {
    std::unique_ptr<KernelMirror> mirror(new KernelMirror(loop, std::move(changed)));
    if (Status status = mirror->open_sockets(); !status) return status.error();
    if (Status status = mirror->start(); !status) return status.error();
    return mirror;
}

KernelMirror::~KernelMirror() {
    for (const EventLoop::Id id : watches_) loop_.remove(id);
    if (timer_ != 0) loop_.remove(timer_);
}

Status KernelMirror::open_sockets() {
    Result<std::unique_ptr<NeighborRequests>> requests = NeighborRequests::create();
    if (!requests) return requests.error();
    requests_ = std::move(*requests);
    Result<Socket> questions = open_route_socket();
    Result<Socket> hints = open_route_socket();
    if (!questions) return questions.error();
    if (!hints) return hints.error();
    questions_ = std::move(*questions);
    hints_ = std::move(*hints);
    nl_sock* socket = hints_.get();
    nl_socket_disable_seq_check(socket);
    // A small buffer only makes overruns likelier, and these are handled.
    if (nl_socket_set_buffer_size(socket, hints_buffer, 0) < 0)
        spdlog::debug("netlink: small receive buffer");
    const int joined =
        nl_socket_add_memberships(socket, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                  RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEIGH, 0);
    if (joined < 0 || nl_socket_set_nonblocking(socket) < 0)
        return make_error("netlink: cannot subscribe to changes: {}", nl_geterror(joined));
    const auto note = [](nl_msg* message, void* to) -> int {
        auto& kinds = *static_cast<std::uint32_t*>(to);
        const auto type = nlmsg_hdr(message)->nlmsg_type;
        if (type == RTM_NEWLINK || type == RTM_DELLINK) kinds |= links;
        if (type == RTM_NEWADDR || type == RTM_DELADDR) kinds |= addresses;
        if (type == RTM_NEWROUTE || type == RTM_DELROUTE) kinds |= routes;
        if (type == RTM_NEWNEIGH || type == RTM_DELNEIGH) kinds |= neighbors;
        return NL_OK;
    };
    nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, note, &changed_kinds_);
    return {};
}

Status KernelMirror::start() {
    KernelData data;
    if (Status status = refresh(questions_.get(), everything, data); !status) return status;
    publish(std::make_unique<const KernelView>(std::move(data)));
    const auto watch = [this](int fd, std::function<void(std::uint32_t)> handler) -> Status {
        Result<EventLoop::Id> id = loop_.watch(fd, EPOLLIN, std::move(handler));
        if (!id) return id.error();
        watches_.push_back(*id);
        return {};
    };
    Status status = watch(nl_socket_get_fd(hints_.get()), [this](std::uint32_t) { hear(); });
    if (!status) return status;
    return watch(requests_->fd(), [this](std::uint32_t) {
        for (const NeighborRequest& request : requests_->take()) solicit(request.ifindex, request.address);
    });
}

Status KernelMirror::refresh(nl_sock* socket, std::uint32_t kinds, KernelData& data) {
    const auto take = [](auto result, auto& into) -> Status {
        if (!result) return result.error();
        into = std::move(*result);
        return {};
    };
    Status status;
    if ((kinds & links) != 0) status = take(dump_links(socket), data.links);
    if (status && (kinds & addresses) != 0) status = take(dump_addresses(socket), data.addresses);
    if (status && (kinds & routes) != 0) status = take(dump_routes(socket), data.routes);
    if (status && (kinds & neighbors) != 0) status = take(dump_neighbors(socket), data.neighbors);
    return status;
}

void KernelMirror::hear() {
    int error = 0;
    while ((error = nl_recvmsgs_default(hints_.get())) >= 0) {
    }
    if (error != -NLE_AGAIN) {  // hints were lost, or one could not be read
        counters_.overruns++;
        changed_kinds_ = everything;
    }
    // What becomes of a link changes addresses and routes, and of IPv4 routes the kernel then says nothing.
    if ((changed_kinds_ & (links | addresses)) != 0) changed_kinds_ = everything;
    if (changed_kinds_ != 0) schedule();
}

void KernelMirror::schedule() {
    if (timer_ != 0) return;
    const std::chrono::nanoseconds pause =
        std::clamp<std::chrono::nanoseconds>(last_duration_ * pause_factor, shortest_pause, longest_pause);
    const std::chrono::nanoseconds since = steady_clock::now() - last_update_;
    if (since >= pause) {
        update();
        return;
    }
    Result<EventLoop::Id> id = loop_.after(pause - since, [this] {
        timer_ = 0;
        update();
    });
    if (id) {
        timer_ = *id;
    } else {
        update();
    }
}

Status KernelMirror::ask_now() {
    KernelData data;
    if (Status status = refresh(questions_.get(), everything, data); !status) return status;
    publish(std::make_unique<const KernelView>(std::move(data)));
    return {};
}

void KernelMirror::update() {
    const auto start = steady_clock::now();
    KernelData data = view().data();
    const std::uint32_t kinds = std::exchange(changed_kinds_, 0);
    const Status status = refresh(questions_.get(), kinds, data);
    last_update_ = steady_clock::now();
    last_duration_ = last_update_ - start;
    if (!status) {  // as when a dump was interrupted: ask again after the pause
        spdlog::warn("{}", status.error().message);
        changed_kinds_ |= kinds;
        last_duration_ = std::max<std::chrono::nanoseconds>(last_duration_, std::chrono::milliseconds{50});
        schedule();
        return;
    }
    auto next = std::make_unique<const KernelView>(std::move(data));
    const KernelView& before = view();
    if (next->data().addresses == before.data().addresses &&
        next->data().neighbors == before.data().neighbors && next->forwards_like(before))
        return;
    publish(std::move(next));
    changed_(before, view());
}

void KernelMirror::publish(std::unique_ptr<const KernelView> view) {
    current_.store(view.get());
    views_.push_back(std::move(view));
    counters_.changes++;
    // The newest stay: the one in force, and the one before it for whoever compares the two.
    const std::lock_guard lock(readers_mutex_);
    const auto unused = [&](const std::unique_ptr<const KernelView>& old) {
        return std::none_of(readers_.begin(), readers_.end(),
                            [&](const auto& reader) { return reader->in_use_.load() == old.get(); });
    };
    const auto end = views_.size() > 2 ? views_.end() - 2 : views_.begin();
    views_.erase(std::remove_if(views_.begin(), end, unused), end);
}

const MirrorCounters& KernelMirror::counters() {
    counters_.neighbor_requests_lost = requests_->lost();
    return counters_;
}

bool KernelMirror::asked_lately(std::uint32_t ifindex, const struct address& address) {
    const auto now = steady_clock::now();
    std::erase_if(asked_, [&](const Asked& asked) { return now - asked.at > std::chrono::seconds{1}; });
    return std::any_of(asked_.begin(), asked_.end(), [&](const Asked& asked) {
        return asked.request.ifindex == ifindex && address_equal(&asked.request.address, &address);
    });
}

void KernelMirror::solicit(std::uint32_t ifindex, const struct address& address) {
    if (asked_lately(ifindex, address)) return;
    asked_.push_back({{ifindex, address}, steady_clock::now()});
    counters_.neighbor_requests++;
    const Status status = solicit_neighbor(questions_.get(), ifindex, address);
    if (status) return;
    counters_.neighbor_failures++;
    spdlog::debug("{}", status.error().message);
}

KernelReader& KernelMirror::make_reader() {
    const std::lock_guard lock(readers_mutex_);
    return *readers_.emplace_back(std::make_unique<KernelReader>(*this));
}

}  // namespace sluice::netlink
