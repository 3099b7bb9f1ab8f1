// SPDX-License-Identifier: Apache-2.0
//
// A histogram of high dynamic range, after Gil Tene's HdrHistogram: bins as wide as 1/1,024 of their value,
// so that a quantile is off by a thousandth at most, whatever its size.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "dataplane/packet/target.h"

namespace sluice::perf {

class Histogram {
public:
    void record(u64 value) {
        const size_t index = index_of(value);
        if (index >= bins_.size()) bins_.resize(index + 1);
        bins_[index]++;
        count_++;
        sum_ += static_cast<double>(value);
        least_ = std::min(least_, value);
        most_ = std::max(most_, value);
    }

    u64 count() const { return count_; }
    u64 least() const { return count_ ? least_ : 0; }
    u64 most() const { return most_; }
    double mean() const { return count_ ? sum_ / static_cast<double>(count_) : 0; }

    // The largest value of the bin in which the sample of rank ceil(share * count) lies; never beyond most().
    u64 quantile(double share) const {
        const double rank = share * static_cast<double>(count_);
        u64 seen = 0;
        for (size_t index = 0; index < bins_.size(); index++) {
            seen += bins_[index];
            if (bins_[index] && static_cast<double>(seen) >= rank) return std::min(last_of(index), most_);
        }
        return most_;
    }

private:
    static constexpr int precision = 10;  // bits

    // Values below 2,048 have a bin each; from there on every power of two has 1,024.
    static size_t index_of(u64 value) {
        const int shift = std::max(static_cast<int>(std::bit_width(value)) - precision - 1, 0);
        return (static_cast<size_t>(shift) << precision) + static_cast<size_t>(value >> shift);
    }

    static u64 last_of(size_t index) {
        if (index < (2u << precision)) return index;
        const size_t shift = (index >> precision) - 1;
        return ((index - (shift << precision) + 1) << shift) - 1;
    }

    std::vector<u64> bins_;
    u64 count_ = 0;
    u64 least_ = ~u64{0};
    u64 most_ = 0;
    double sum_ = 0;
};

}  // namespace sluice::perf
