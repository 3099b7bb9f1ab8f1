// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

namespace sluice {
namespace {

Result<int> positive(int value) {
    if (value <= 0) return make_error("value {}: expected more than 0", value);
    return value;
}

Status below_ten(int value) {
    if (value >= 10) return make_error("value {}: expected less than 10", value);
    return {};
}

TEST(Result, HoldsAValueOrAnError) {
    const Result<int> good = positive(3);
    ASSERT_TRUE(good.ok());
    EXPECT_EQ(*good, 3);

    const Result<int> bad = positive(-1);
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().message, "value -1: expected more than 0");
    EXPECT_EQ(bad.error().code, 0);
}

TEST(Result, CarriesTypesThatOnlyMove) {
    Result<std::unique_ptr<int>> made = std::make_unique<int>(7);
    const std::unique_ptr<int> taken = std::move(made).value();
    EXPECT_EQ(*taken, 7);
}

TEST(Result, ChainsUntilTheFirstError) {
    int calls = 0;
    const auto count = [&calls](int value) -> Result<int> {
        ++calls;
        return value + 1;
    };
    EXPECT_EQ(*positive(1).and_then(count).and_then(count), 3);
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(positive(0).and_then(count).error().message, "value 0: expected more than 0");
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(positive(12).and_then(below_ten).error().message, "value 12: expected less than 10");
}

TEST(Result, MapChangesTheTypeOfAValueOnly) {
    const auto text = [](int value) { return std::to_string(value); };
    EXPECT_EQ(*positive(42).map(text), "42");
    EXPECT_FALSE(positive(-42).map(text));
}

TEST(Result, ValueOrTakesTheFallbackOnError) {
    EXPECT_EQ(positive(5).value_or(9), 5);
    EXPECT_EQ(positive(-5).value_or(9), 9);
}

TEST(Result, ContextGoesInFrontAndTheCodeStays) {
    const Result<int> failed = system_error(EACCES, "open {}", "/etc/shadow");
    const Error outer = failed.error().with_context("secrets");
    EXPECT_EQ(outer.message, "secrets: open /etc/shadow: Permission denied");
    EXPECT_EQ(outer.code, EACCES);
    EXPECT_EQ(*positive(1).with_context("unused"), 1);
    EXPECT_EQ(positive(0).with_context("line 3").error().message, "line 3: value 0: expected more than 0");
}

TEST(Result, SystemErrorTakesNegativeCodesOfLibbpf) {
    const Error error = system_error(-EBUSY, "attach");
    EXPECT_EQ(error.message, "attach: Device or resource busy");
    EXPECT_EQ(error.code, EBUSY);
}

TEST(Status, IsOkUntilGivenAnError) {
    EXPECT_TRUE(Status().ok());
    EXPECT_TRUE(below_ten(9));
    EXPECT_EQ(below_ten(10).with_context("rule 2").error().message,
              "rule 2: value 10: expected less than 10");
    EXPECT_EQ(*below_ten(1).and_then([] { return positive(4); }), 4);
    EXPECT_FALSE(below_ten(11).and_then([] { return positive(4); }));
}

TEST(ResultDeathTest, TheWrongHalfAborts) {
    EXPECT_DEATH((void)positive(0).value(), "");
    EXPECT_DEATH((void)positive(1).error(), "");
    EXPECT_DEATH((void)Status().error(), "");
}

}  // namespace
}  // namespace sluice
