// SPDX-License-Identifier: Apache-2.0
#include "perf/common/histogram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace sluice::perf {
namespace {

// Of the sample that the quantile names, known by sorting.
u64 exact(std::vector<u64>& values, double share) {
    std::sort(values.begin(), values.end());
    const double rank = std::ceil(share * static_cast<double>(values.size()));
    return values[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

TEST(Histogram, AgreesWithASortedSampleToAThousandth) {
    std::mt19937_64 random(7);
    std::lognormal_distribution<double> long_tail(10, 2);
    std::vector<u64> values;
    Histogram histogram;
    for (int i = 0; i < 200'000; i++) {
        values.push_back(static_cast<u64>(long_tail(random)));
        histogram.record(values.back());
    }
    for (const double share : {0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0}) {
        const u64 truth = exact(values, share);
        EXPECT_GE(histogram.quantile(share), truth) << share;
        EXPECT_LE(histogram.quantile(share), truth + truth / 1000 + 1) << share;
    }
    EXPECT_EQ(histogram.least(), values.front());
    EXPECT_EQ(histogram.most(), values.back());
    EXPECT_EQ(histogram.count(), values.size());
}

TEST(Histogram, KnowsAUniformDistributionByItsFormula) {
    Histogram histogram;
    for (u64 value = 1; value <= 1'000'000; value++) histogram.record(value);
    for (const double share : {0.5, 0.95, 0.99, 0.999})
        EXPECT_NEAR(static_cast<double>(histogram.quantile(share)), share * 1e6, share * 1e3);
    EXPECT_DOUBLE_EQ(histogram.mean(), 500'000.5);
}

TEST(Histogram, SmallValuesAreExact) {
    Histogram histogram;
    for (u64 value = 0; value < 2048; value++) histogram.record(value);
    for (u64 value = 0; value < 2048; value++)
        EXPECT_EQ(histogram.quantile(static_cast<double>(value + 1) / 2048), value);
}

TEST(Histogram, WithoutSamplesSaysNothing) {
    const Histogram histogram;
    EXPECT_EQ(histogram.quantile(0.5), 0u);
    EXPECT_EQ(histogram.least(), 0u);
    EXPECT_EQ(histogram.mean(), 0);
}

TEST(Histogram, HoldsTheLargestValue) {
    Histogram histogram;
    histogram.record(~u64{0});
    EXPECT_EQ(histogram.quantile(1), ~u64{0});
}

}  // namespace
}  // namespace sluice::perf
