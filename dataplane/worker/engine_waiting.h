// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include "dataplane/io/frame.h"

namespace sluice {

// A frame that waits, and what is known of it.
struct WaitingFrame {
    Frame frame;
    u64 key;       // what it waits for
    u64 since_ns;  // when it began to
    u32 port;      // ingress
    u32 length;    // as received
    bool due;      // what it waits for has come
};

// Frames that wait, in the order of their arrival. Bounded, and no allocation after construction.
class WaitingRoom {
public:
    static constexpr size_t per_key = 16;

    explicit WaitingRoom(size_t capacity) : capacity_(capacity) { frames_.reserve(capacity); }

    bool add(const WaitingFrame& frame) {
        if (frames_.size() >= capacity_) return false;
        const auto same = [&](const WaitingFrame& other) { return other.key == frame.key; };
        if (static_cast<size_t>(std::count_if(frames_.begin(), frames_.end(), same)) >= per_key) return false;
        frames_.push_back(frame);
        return true;
    }

    // Marks what waits for `key` as due; whether anything does.
    bool release(u64 key) {
        bool any = false;
        for (WaitingFrame& frame : frames_) {
            if (frame.key == key) any = frame.due = true;
        }
        return any;
    }

    void release_all() {
        for (WaitingFrame& frame : frames_) frame.due = true;
    }

    // Moves up to `most` of the frames for which `chosen` holds to `out`, the oldest first; how many.
    template <typename Chosen>
    size_t take(WaitingFrame* out, size_t most, const Chosen& chosen) {
        size_t taken = 0;
        const auto gone = [&](const WaitingFrame& frame) {
            if (taken == most || !chosen(frame)) return false;
            out[taken++] = frame;
            return true;
        };
        std::vector<WaitingFrame>::iterator to = frames_.begin();
        for (const WaitingFrame& frame : frames_) {
            if (!gone(frame)) *to++ = frame;
        }
        frames_.erase(to, frames_.end());
        return taken;
    }

    size_t size() const { return frames_.size(); }
    bool empty() const { return frames_.empty(); }
    size_t capacity() const { return capacity_; }

private:
    size_t capacity_;
    std::vector<WaitingFrame> frames_;
};

}  // namespace sluice
