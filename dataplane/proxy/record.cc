// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/record.h"

#include <iterator>

namespace sluice::proxy {

namespace {

#define SLUICE_NAME(id, name) name,
constexpr const char* state_names[] = {SLUICE_CONNECTION_STATES(SLUICE_NAME)};
constexpr const char* ending_names[] = {SLUICE_ENDINGS(SLUICE_NAME)};
#undef SLUICE_NAME

static_assert(std::size(ending_names) == static_cast<size_t>(Ending::count));

}  // namespace

const char* state_name(ConnectionState state) { return state_names[static_cast<size_t>(state)]; }
const char* ending_name(Ending ending) { return ending_names[static_cast<size_t>(ending)]; }

bool ClosedRecords::add(const Record& record, u64 keep_ns) {
    if (capacity_ == 0) return true;
    if (records_.size() < capacity_) {
        records_.push_back(record);
        return false;
    }
    Record& oldest = records_[next_];
    const bool young = record.closed_at_ns - oldest.closed_at_ns < keep_ns;
    oldest = record;
    next_ = (next_ + 1) % capacity_;
    return young;
}

void ClosedRecords::copy(u64 since, std::vector<Record>& out) const {
    for (size_t i = 0; i < records_.size(); ++i) {
        const Record& record = records_[(next_ + i) % records_.size()];
        if (record.closed_at_ns >= since) out.push_back(record);
    }
}

}  // namespace sluice::proxy
