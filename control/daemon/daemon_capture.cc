// SPDX-License-Identifier: Apache-2.0
//
// Captures as the API asks for them. They have a thread and locks of their own, and hold nothing else up.
#include "control/daemon/daemon.h"

namespace sluice::control {

Result<u64> Daemon::start_capture(const api::CaptureRequest& request) {
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
