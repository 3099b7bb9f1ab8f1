// SPDX-License-Identifier: Apache-2.0
//
// From one loop to the thread that writes the access log: a ring of records; one that finds no room is
// counted and lost, so that a slow log holds nobody up.
#pragma once

#include <optional>

#include "dataplane/base/spsc_ring.h"
#include "dataplane/proxy/record.h"

namespace sluice::proxy {

class RecordQueue {
public:
    // 0: nobody reads, nothing is kept or counted
    explicit RecordQueue(u32 capacity) {
        if (capacity != 0) records_.emplace(capacity);
    }

    // The loop's thread only.
    void push(const Record& record) {
        if (records_ && !records_->push(record)) dropped_.add(1);
    }

    // The writer's thread only: calls `take` with every record there is.
    template <typename Take>
    u64 drain(Take&& take) {
        u64 count = 0;
        for (; records_; ++count) {
            const Record* const record = records_->front();
            if (record == nullptr) break;
            take(*record);
            records_->pop();
        }
        return count;
    }

    u64 dropped() const { return dropped_.get(); }

private:
    std::optional<SpscRing<Record>> records_;
    Counter dropped_;
};

}  // namespace sluice::proxy
