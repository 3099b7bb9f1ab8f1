// SPDX-License-Identifier: Apache-2.0
#include "control/capture/captures.h"

#include <algorithm>

#include "control/capture/pcapng.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"
#include "dataplane/io/xdp/xdp_dataplane.h"

namespace sluice::capture {

namespace {

constexpr auto period = std::chrono::milliseconds(5);
constexpr const char* program_tier = "xdp";

Error no_such(u64 id) { return make_error("capture {}: it is not running", id); }

}  // namespace

Captures::Captures(std::string program, Describe describe)
    : program_(std::move(program)), describe_(std::move(describe)), thread_([this] { run(); }) {}

Captures::~Captures() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
    set_program(nullptr);
}

void Captures::set_program(XdpDataplane* xdp) {
    const std::lock_guard lock(mutex_);
    if (xdp_ != nullptr) xdp_->node().capture = 0;
    buffers_.reset();
    xdp_ = xdp;
    if (xdp_ != nullptr)
        xdp_->node().capture = 0;  // an earlier daemon may have been killed while it captured
    if (Status status = adjust(); !status) spdlog::warn("capture: {}", status.error().message);
}

std::shared_ptr<CaptureTap> Captures::tap(const std::string& tier) {
    auto tap = std::make_shared<CaptureTap>(tier);
    const std::lock_guard lock(mutex_);
    std::erase_if(taps_, [](const Tap& each) { return each.tap.expired(); });
    taps_.push_back({tap, 0});
    tap->show_bytes(wanted_bytes(tier));
    return tap;
}

Result<u64> Captures::start(Wish wish) {
    const std::lock_guard lock(mutex_);
    if (sessions_.size() == most) return make_error("{} captures run: expected {} at most", most, most);
    const u64 id = next_id_++;
    Session& session = sessions_[id];
    session.wish = std::move(wish);
    session.last_read = Clock::now();
    add_section(session.blocks, program_);
    if (Status status = adjust(); !status) {
        sessions_.erase(id);
        if (Status undone = adjust(); !undone) spdlog::warn("capture: {}", undone.error().message);
        return status.error();
    }
    wake_.notify_one();
    return id;
}

Result<std::string> Captures::read(u64 id) {
    const std::lock_guard lock(mutex_);
    const auto at = sessions_.find(id);
    if (at == sessions_.end()) return no_such(id);
    collect();
    at->second.last_read = Clock::now();
    return std::exchange(at->second.blocks, {});
}

Result<Summary> Captures::stop(u64 id) {
    const std::lock_guard lock(mutex_);
    const auto at = sessions_.find(id);
    if (at == sessions_.end()) return no_such(id);
    const Summary summary = at->second.summary;
    sessions_.erase(at);
    if (Status status = adjust(); !status) spdlog::warn("capture: {}", status.error().message);
    return summary;
}

Totals Captures::totals() const {
    const std::lock_guard lock(mutex_);
    Totals totals = totals_;
    totals.running = static_cast<u32>(sessions_.size());
    return totals;
}

u32 Captures::wanted_bytes(const std::string& tier) const {
    u32 bytes = 0;
    for (const auto& [id, session] : sessions_) {
        if (session.wish.tier.empty() || session.wish.tier == tier)
            bytes = std::max(bytes, session.wish.bytes);
    }
    return bytes;
}

// Lets the tiers show what somebody wants to see, and no more.
Status Captures::adjust() {
    for (const Tap& each : taps_) {
        if (const auto tap = each.tap.lock()) tap->show_bytes(wanted_bytes(tap->tier()));
    }
    return xdp_ != nullptr ? adjust_program(wanted_bytes(program_tier)) : Status{};
}

// The program shows nothing before its buffers are there, and nothing any more when they go.
Status Captures::adjust_program(u32 bytes) {
    if (bytes != 0 && !buffers_) {
        auto buffers = XdpCapture::open(
            xdp_->maps(),
            [this](const Captured& packet, std::span<const u8> data) { take(packet, data, program_tier); });
        if (!buffers) return buffers.error();
        buffers_ = std::move(*buffers);
        buffers_lost_ = 0;
    }
    xdp_->node().capture = bytes;
    if (bytes == 0) buffers_.reset();
    return {};
}

void Captures::count_lost(u64 now, u64& before) {
    const u64 lost = now - std::exchange(before, now);
    totals_.lost += lost;
    for (auto& [id, session] : sessions_) session.summary.lost += lost;
}

void Captures::collect() {
    wall_offset_ = wall_ns() - monotonic_ns();
    if (buffers_) {
        if (Status status = buffers_->drain(); !status) spdlog::debug("{}", status.error().message);
        count_lost(buffers_->lost(), buffers_lost_);
    }
    for (Tap& each : taps_) {
        const auto tap = each.tap.lock();
        if (!tap) continue;
        tap->drain(
            [&](const Captured& packet, std::span<const u8> data) { take(packet, data, tap->tier()); });
        count_lost(tap->lost(), each.lost);
    }
}

void Captures::take(const Captured& packet, std::span<const u8> bytes, const std::string& tier) {
    Description description;
    for (auto& [id, session] : sessions_) {
        const Wish& wish = session.wish;
        if (packet.leaves ? !wish.leaving : !wish.coming) continue;
        if (!wish.tier.empty() && wish.tier != tier) continue;
        if (!wish.filter.takes(bytes, packet.length)) continue;
        if (description.interface.empty()) description = describe_(packet, tier);
        if (!wish.interface.empty() && wish.interface != description.interface) continue;
        store_packet(session, packet, bytes, description, tier);
    }
}

void Captures::store_packet(Session& session, const Captured& packet, std::span<const u8> bytes,
                            const Description& description, const std::string& tier) {
    if (session.blocks.size() + bytes.size() + description.comment.size() > store) {
        session.summary.lost++;
        totals_.lost++;
        return;
    }
    const auto number = static_cast<u32>(session.interfaces.size());
    const auto [at, fresh] = session.interfaces.try_emplace({description.interface, tier}, number);
    if (fresh) add_interface(session.blocks, description.interface, tier, session.wish.bytes);
    const std::span some = bytes.first(std::min<size_t>(bytes.size(), session.wish.bytes));
    add_packet(session.blocks, {at->second, packet.time_ns + wall_offset_, packet.length, packet.leaves,
                                description.comment, some});
    session.summary.packets++;
    totals_.packets++;
}

void Captures::end_abandoned() {
    const auto now = Clock::now();
    const auto ended =
        std::erase_if(sessions_, [&](const auto& each) { return now - each.second.last_read > lease; });
    if (ended == 0) return;
    spdlog::warn("a capture was ended: nobody has read it for {} s", lease.count());
    if (Status status = adjust(); !status) spdlog::warn("capture: {}", status.error().message);
}

void Captures::run() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
        if (sessions_.empty()) {
            wake_.wait(lock, [this] { return ending_ || !sessions_.empty(); });
            continue;
        }
        collect();
        end_abandoned();
        wake_.wait_for(lock, period);
    }
}

}  // namespace sluice::capture
