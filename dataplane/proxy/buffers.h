// SPDX-License-Identifier: Apache-2.0
//
// Memory for bytes that were read and that the receiver does not take yet. A connection holds none while its
// receiver keeps up: data is read into the loop's scratch area and written from there. What is left over goes
// into a buffer of 1, 16 or 256 KiB, the least that takes it, and the buffer goes back once it is empty.
// All loops share one bound.
#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "dataplane/packet/target.h"

namespace sluice::proxy {

inline constexpr std::array<u32, 3> buffer_sizes = {1u << 10, 16u << 10, 256u << 10};

// The bound, and what is in use of it. Any thread.
class MemoryBound {
public:
    explicit MemoryBound(u64 limit) : limit_(limit) {}

    // For what has been read already and must not be lost; whoever uses it looks at used() before reading.
    void take_anyway(u64 bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
    void give(u64 bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
    u64 used() const { return used_.load(std::memory_order_relaxed); }
    u64 limit() const { return limit_; }

private:
    const u64 limit_;
    std::atomic<u64> used_{0};
};

// Bytes [start, end) of `data` are to be written.
struct Buffer {
    u8* data = nullptr;
    u32 size = 0;
    u32 start = 0;
    u32 end = 0;

    u32 length() const { return end - start; }
    bool empty() const { return start == end; }
};

// Of one loop; not for other threads.
class BufferPool {
public:
    explicit BufferPool(MemoryBound& bound) : bound_(bound) {}
    ~BufferPool();
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;

    // An empty buffer of at least `bytes` (at most the largest size). It may go over the bound: the bytes are
    // there already. Without data only when there is no memory at all.
    Buffer get(u32 bytes);
    void put(Buffer& buffer);  // leaves it without data

    u64 in_use() const { return in_use_; }  // bytes of buffers given out
    u64 spare() const;                      // bytes kept for the next one who asks

private:
    static constexpr u64 most_spare = 4u << 20;  // bytes kept of each size

    MemoryBound& bound_;
    std::array<std::vector<u8*>, buffer_sizes.size()> free_;
    u64 in_use_ = 0;
};

}  // namespace sluice::proxy
