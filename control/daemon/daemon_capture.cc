// SPDX-License-Identifier: Apache-2.0
//
// Captures as the API asks for them. They have a thread and locks of their own, and hold nothing else up.
#include "control/daemon/daemon.h"

#include <algorithm>

#include "control/daemon/on_loop.h"

namespace sluice::control {

namespace {

constexpr std::chrono::seconds patience{10};

}  // namespace

// A capture of what cannot come would look like one of silence.
Status Daemon::check_capture(const std::string& interface, const std::string& tier) const {
    if (!interface.empty() && std::none_of(sections_.begin(), sections_.end(),
                                           [&](const auto& each) { return each.name == interface; }))
        return make_error("interface {}: expected one of the configuration's", interface);
    const bool lives = std::any_of(plans_.begin(), plans_.end(), [&](const auto& each) {
        const InterfacePlan& plan = each.second;
        if (tier == "dpdk") return plan.dpdk;
        if (tier == "epoll") return plan.packets && claims_packets(config_);
        return tier == "af_xdp" ? plan.af_xdp : plan.needs_program();
    });
    if (!tier.empty() && !lives) return make_error("tier {}: no interface is to be served by it", tier);
    return {};
}

Result<u64> Daemon::start_capture(const api::CaptureRequest& request) {
    const auto checked = on_loop<Status>(
        [this, interface = request.interface, tier = request.tier] { return check_capture(interface, tier); },
        patience);
    if (!checked) return checked.error();
    if (!*checked) return checked->error();
    auto filter = capture::PacketFilter::from(request.filter);
    if (!filter) return filter.error();
    capture::Wish wish;
    wish.interface = request.interface;
    wish.tier = request.tier;
    wish.coming = request.direction != "out";
    wish.leaving = request.direction != "in";
    wish.bytes = request.bytes;
    wish.filter = std::move(*filter);
    return captures_->start(std::move(wish));
}

Result<std::string> Daemon::read_capture(u64 id) { return captures_->read(id); }

Result<api::CaptureSummary> Daemon::stop_capture(u64 id) {
    const auto told = captures_->stop(id);
    if (!told) return told.error();
    return api::CaptureSummary{told->packets, told->lost};
}

void Daemon::start_captures() {
    captures_ = std::make_unique<capture::Captures>("sluiced " SLUICE_VERSION,
                                                    [this](const Captured& packet, const std::string& tier) {
                                                        return capture_words_.describe(packet, tier);
                                                    });
    captures_->set_program(tiers_->xdp());
    tiers_->set_captures(*captures_);
}

}  // namespace sluice::control
