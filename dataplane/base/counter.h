// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice {

// A number that one thread writes and others read.
class Counter {
public:
    void add(uint64_t count) { set(get() + count); }
    void subtract(uint64_t count) { set(get() - count); }
    void set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
    uint64_t get() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<uint64_t> value_{0};
};

}  // namespace sluice
