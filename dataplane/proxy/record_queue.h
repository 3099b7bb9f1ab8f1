// SPDX-License-Identifier: Apache-2.0
//
// From one loop to the thread that writes the access log: a ring of records; one that finds no room is
// counted and lost, so that a slow log holds nobody up.
#pragma once

#include <atomic>
#include <vector>

#include "dataplane/proxy/record.h"

namespace sluice::proxy {

class RecordQueue {
public:
    explicit RecordQueue(u32 capacity) : records_(capacity) {}  // 0: nobody reads, nothing is kept or counted

    // The loop's thread only.
    void push(const Record& record) {
        if (records_.empty()) return;
        const u64 head = head_.load(std::memory_order_relaxed);
        if (head - tail_.load(std::memory_order_acquire) >= records_.size()) {
            dropped_.add(1);
            return;
        }
        records_[head % records_.size()] = record;
        head_.store(head + 1, std::memory_order_release);
    }

    // The writer's thread only: calls `take` with every record there is.
    template <typename Take>
    u64 drain(Take&& take) {
        u64 tail = tail_.load(std::memory_order_relaxed);
        const u64 head = head_.load(std::memory_order_acquire);
        const u64 count = head - tail;
        while (tail < head) {
            take(records_[tail % records_.size()]);
            tail_.store(++tail, std::memory_order_release);
        }
        return count;
    }

    u64 dropped() const { return dropped_.get(); }

private:
    std::vector<Record> records_;
    std::atomic<u64> head_{0};
    std::atomic<u64> tail_{0};
    Counter dropped_;
};

}  // namespace sluice::proxy
