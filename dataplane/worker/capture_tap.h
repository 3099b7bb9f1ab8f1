// SPDX-License-Identifier: Apache-2.0
//
// Where an engine shows its packets to a capture: through a ring that is there from the first capture on, for
// as long as the engine is. What finds no room in it is lost, and counted. Without a capture a batch costs
// one test. A packet that waits is shown twice: as it begins to wait, and with its verdict.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "dataplane/base/counter.h"
#include "dataplane/base/spsc_ring.h"
#include "dataplane/io/captured.h"
#include "dataplane/io/frame.h"

namespace sluice {

struct Decision;

struct CapturedFrame {
    static constexpr u32 longest = 2048;

    Captured packet;
    std::array<u8, longest> data;
};

class CaptureTap {
public:
    static constexpr size_t capacity = 2048;  // frames

    explicit CaptureTap(std::string tier) : tier_(std::move(tier)) {}

    // The capture's thread only.
    const std::string& tier() const { return tier_; }
    // Shows so many bytes of each packet from now on; 0: nothing.
    void show_bytes(u32 bytes);
    // Calls back for every packet that waits.
    template <typename Callback>
    void drain(const Callback& callback) {
        while (const CapturedFrame* const frame = ring_ ? ring_->front() : nullptr) {
            callback(frame->packet, std::span(frame->data).first(frame->packet.bytes));
            ring_->pop();
        }
    }

    // Any thread.
    u64 lost() const { return lost_.get(); }

    // The engine's thread only, as the rest. Whether a capture runs.
    bool on() const { return bytes_.load(std::memory_order_acquire) != 0; }
    // Packets as they came: before what is decided of them is known, and afterwards. In between the engine
    // has written to the frames.
    void begin(std::span<const Frame> frames, u64 now_ns);
    void end(std::span<const Frame> frames, const Decision* decisions);
    // Packets as they are now.
    void show(std::span<const Frame> frames, const Decision* decisions, bool leave, u64 now_ns);

private:
    CapturedFrame* copy(const Frame& frame, size_t ahead, bool leaves, u64 now_ns);

    std::string tier_;
    std::unique_ptr<SpscRing<CapturedFrame>> ring_;
    std::atomic<u32> bytes_{0};  // of each packet; 0: no capture
    Counter lost_;
    size_t begun_ = 0;  // frames of the batch under way that found room
    u64 now_ns_ = 0;
};

}  // namespace sluice
