// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

// A bounded queue from one thread to one other, without locks or allocation after construction.
template <typename T>
class SpscRing {
public:
    explicit SpscRing(size_t capacity) : items_(std::bit_ceil(capacity)) {}

    // The writer's thread only. False: full, nothing has changed.
    bool push(const T& item) {
        T* const slot = reserve();
        if (slot == nullptr) return false;
        *slot = item;
        commit();
        return true;
    }

    // The same in place: where the next item is to be written (null: full), then commit(). `ahead`: where the
    // item behind so many others is to be, which are committed first.
    T* reserve(size_t ahead = 0) {
        const uint64_t head = head_.load(std::memory_order_relaxed) + ahead;
        if (head - seen_tail_ >= items_.size()) {
            seen_tail_ = tail_.load(std::memory_order_acquire);
            if (head - seen_tail_ >= items_.size()) return nullptr;
        }
        return &items_[head & (items_.size() - 1)];
    }
    void commit() { head_.store(head_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

    // The reader's thread only: the oldest item, valid until pop(); null: none.
    const T* front() const {
        const uint64_t tail = tail_.load(std::memory_order_relaxed);
        if (head_.load(std::memory_order_acquire) == tail) return nullptr;
        return &items_[tail & (items_.size() - 1)];
    }
    void pop() { tail_.store(tail_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

    // Any thread.
    bool empty() const { return size() == 0; }
    size_t size() const {
        const uint64_t tail = tail_.load(std::memory_order_acquire);
        return static_cast<size_t>(head_.load(std::memory_order_acquire) - tail);
    }
    size_t capacity() const { return items_.size(); }

private:
    std::vector<T> items_;
    alignas(64) std::atomic<uint64_t> head_{0};
    uint64_t seen_tail_ = 0;  // the writer's
    alignas(64) std::atomic<uint64_t> tail_{0};
};

}  // namespace sluice
