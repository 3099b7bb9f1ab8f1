// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/capture_tap.h"

#include <algorithm>

#include "dataplane/worker/engine.h"

namespace sluice {

namespace {

void take(Captured& packet, const Decision& decision) {
    packet.port = decision.port;
    packet.egress = decision.egress;
    packet.word = decision.word;
    packet.service = decision.service;
    packet.backend = decision.backend;
    packet.rule = decision.rule;
}

// Whether the frame that such a verdict leaves behind is a packet on its way out.
bool leaves(const Decision& decision) {
    const u32 verdict = verdict_of(decision.word);
    return verdict == VERDICT_FORWARD || verdict == VERDICT_REJECT;
}

}  // namespace

void CaptureTap::show_bytes(u32 bytes) {
    if (bytes != 0 && !ring_) ring_ = std::make_unique<SpscRing<CapturedFrame>>(capacity);
    bytes_.store(std::min(bytes, CapturedFrame::longest), std::memory_order_release);
}

// Null: there is no room.
CapturedFrame* CaptureTap::copy(const Frame& frame, size_t ahead, bool leaves, u64 now_ns) {
    CapturedFrame* const slot = ring_->reserve(ahead);
    if (slot == nullptr) return nullptr;
    const auto length = static_cast<u32>(frame.end - frame.data);
    const u32 most = bytes_.load(std::memory_order_relaxed);
    slot->packet = {};
    slot->packet.time_ns = now_ns;
    slot->packet.ifindex = frame.ifindex;
    slot->packet.length = length;
    slot->packet.bytes = std::min(length, most);
    slot->packet.leaves = leaves;
    std::copy_n(frame.data, slot->packet.bytes, slot->data.begin());
    return slot;
}

void CaptureTap::begin(std::span<const Frame> frames, u64 now_ns) {
    begun_ = 0;
    now_ns_ = now_ns;
    while (begun_ < frames.size() && copy(frames[begun_], begun_, false, now_ns) != nullptr) begun_++;
    lost_.add(frames.size() - begun_);
}

void CaptureTap::end(std::span<const Frame> frames, const Decision* decisions) {
    for (size_t i = 0; i < begun_; i++) {
        take(ring_->reserve()->packet, decisions[i]);
        ring_->commit();
    }
    for (size_t i = 0; i < begun_; i++) {
        if (leaves(decisions[i])) show(frames.subspan(i, 1), &decisions[i], true, now_ns_);
    }
}

void CaptureTap::show(std::span<const Frame> frames, const Decision* decisions, bool leave, u64 now_ns) {
    for (size_t i = 0; i < frames.size(); i++) {
        CapturedFrame* const slot = copy(frames[i], 0, leave, now_ns);
        if (slot == nullptr) return lost_.add(frames.size() - i);
        take(slot->packet, decisions[i]);
        ring_->commit();
    }
}

}  // namespace sluice
