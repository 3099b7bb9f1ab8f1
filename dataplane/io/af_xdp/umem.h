// SPDX-License-Identifier: Apache-2.0
//
// The packet buffers of one worker, shared by its XDP sockets, or its packet rings, on all interfaces. One
// thread allocates and frees.
#pragma once

#include <cassert>
#include <memory>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/base/mapping.h"
#include "dataplane/base/result.h"
#include "dataplane/io/frame.h"

namespace sluice {

struct UmemOptions {
    u32 frames = 8192;       // at most 4 GiB in all
    u32 frame_size = 4096;   // a power of two, 2048 to 16384; XDP sockets take 4096 at most
    bool huge_pages = true;  // where the machine has some
};

class Umem {
public:
    static constexpr u32 headroom = 256;  // the kernel's own, before each received frame

    static Result<std::unique_ptr<Umem>> create(const UmemOptions& options);

    u8* area() const { return area_.as<u8>(); }
    u64 size() const { return u64{frames_} * frame_size_; }
    u32 frames() const { return frames_; }
    u32 frame_size() const { return frame_size_; }
    PageKind pages() const { return area_.pages(); }

    // Longest frame that fits into a buffer, Ethernet header included.
    u32 max_frame_length() const { return frame_size_ - headroom; }

    // Addresses (offsets of buffers' first bytes) taken from and given back to the free ones. take() returns
    // how many there were, `count` at most.
    u32 take(u64* addresses, u32 count) {
        const u32 left = free_count();
        const u32 taken = count < left ? count : left;
        for (u32 i = 0; i < taken; ++i) addresses[i] = free_[left - 1 - i];
        free_count_.set(left - taken);
        return taken;
    }
    // One, as an empty frame with the kernel's head room before it. False: there is none.
    bool take(Frame& frame) {
        u64 address = 0;
        if (take(&address, 1) == 0) return false;
        frame.tag = static_cast<u32>(address);
        frame.buffer = area() + address;
        frame.data = frame.buffer + headroom;
        frame.end = frame.data;
        return true;
    }
    // Any address within the buffer.
    void give(u64 address) {
        const u32 count = free_count();
        assert(count < frames_);
        free_[count] = address & ~u64{frame_size_ - 1};
        free_count_.set(count + 1);
    }

    // Any thread.
    u32 free_count() const { return static_cast<u32>(free_count_.get()); }
    // Only while nobody takes or gives.
    std::vector<u64> free_list() const { return {free_.begin(), free_.begin() + free_count()}; }

private:
    Umem(Mapping area, u32 frames, u32 frame_size);

    Mapping area_;
    u32 frames_;
    u32 frame_size_;
    std::vector<u64> free_;  // the first free_count_ of them
    Counter free_count_;
};

}  // namespace sluice
