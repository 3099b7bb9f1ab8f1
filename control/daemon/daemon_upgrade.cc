// SPDX-License-Identifier: Apache-2.0
//
// A planned upgrade, as the daemon that is replaced sees it.
#include <sys/epoll.h>

#include <csignal>
#include <ctime>

#include "control/daemon/daemon.h"
#include "dataplane/base/log.h"

namespace sluice::control {

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 15min;  // for connections of the proxy that are open when another daemon takes over
constexpr timespec period{0, 50'000'000};

}  // namespace

Status Daemon::offer_handover() {
    Result<HandoverSocket> offer = HandoverSocket::open(config_.control.socket);
    if (!offer) return offer.error();
    handover_.emplace(std::move(*offer));
    auto id = loop_->watch(handover_->descriptor(), EPOLLIN, [this](std::uint32_t) { asked_to_hand_over(); });
    return id ? Status{} : Status{id.error()};
}

void Daemon::asked_to_hand_over() {
    Result<UniqueFd> connection = handover_->accept();
    if (!connection) return spdlog::warn("{}", connection.error().message);
    if (drain_until_) return spdlog::warn("hand-over refused: this daemon is stopping");
    successor_ = std::move(*connection);
    loop_->stop();
}

// Everything but the node's lock and the proxy. Answers end before what they are about does.
void Daemon::let_go() {
    stopping_ = true;
    diagnostics_.reset();
    api_.reset();
    metrics_.reset();
    handover_.reset();
    watch_.reset();
    trace_reader_.reset();
    sweeper_.reset();
    backend_states_.reset();
    republish_is_due_ = false;
    captures_.reset();
    tiers_.reset();
    mirror_.reset();
    loop_.reset();
}

// False: the other daemon did not begin, and the node is still this one's.
bool Daemon::hand_over() {
    const HandoverGiver giver(std::move(successor_));
    spdlog::info("another daemon takes the node over");
    let_go();
    const Status given = giver.give(lock_->descriptor(), proxy_.listeners());
    if (given && giver.taken()) return true;
    spdlog::error("the other daemon did not begin{}: this one goes on",
                  given ? "" : ": " + given.error().message);
    stopping_ = false;
    if (Status status = lock_->sign(); !status) spdlog::warn("{}", status.error().message);
    return false;
}

// The loop that took signals has gone; they are still blocked.
Status Daemon::finish_proxied() {
    proxy_.leave();
    lock_.reset();
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!proxy_.done() && std::chrono::steady_clock::now() < until) {
        if (sigtimedwait(&signals, nullptr, &period) > 0) break;
    }
    spdlog::info("the node is another daemon's, and this one has ended its connections");
    return {};
}

}  // namespace sluice::control
