// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/log.h"

#include <fnmatch.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace sluice {
namespace {

bool matches(const char* pattern, const std::string& text) { return fnmatch(pattern, text.c_str(), 0) == 0; }

class Log : public testing::Test {
protected:
    ~Log() override {
        spdlog::set_default_logger(before_);
        std::fclose(out_);
        std::free(buffer_);
    }

    std::string written() {
        std::fflush(out_);
        return {buffer_, size_};
    }

    char* buffer_ = nullptr;
    std::size_t size_ = 0;
    std::FILE* out_ = open_memstream(&buffer_, &size_);
    std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

TEST_F(Log, TextLineHasTimeLevelAndMessage) {
    ASSERT_TRUE(log_init({.level = "info", .format = "text", .out = out_}));
    spdlog::warn("tier {} refused", "xdp");
    EXPECT_TRUE(matches("20[0-9][0-9]-*-* *:*:*.[0-9]* warning tier xdp refused\n", written())) << written();
}

TEST_F(Log, JsonLineSurvivesQuotesAndControlCharacters) {
    ASSERT_TRUE(log_init({.level = "info", .format = "json", .out = out_}));
    const std::string message = "say \"no\" to C:\\ \n\t\x01 grüße";
    spdlog::error(message);
    const auto line = nlohmann::json::parse(written());
    EXPECT_EQ(line.at("message"), message);
    EXPECT_EQ(line.at("level"), "error");
    EXPECT_TRUE(line.at("thread").is_number());
    EXPECT_TRUE(matches("20[0-9][0-9]-*-*T*:*:*.[0-9]*Z", line.at("time").get<std::string>()));
}

TEST_F(Log, LevelHidesWhatIsBelowAndCanChange) {
    ASSERT_TRUE(log_init({.level = "error", .format = "text", .out = out_}));
    spdlog::info("hidden");
    EXPECT_EQ(written(), "");
    ASSERT_TRUE(log_set_level("trace"));
    spdlog::trace("shown");
    EXPECT_NE(written().find("shown"), std::string::npos);
}

TEST_F(Log, UnknownSettingsAreErrorsAndChangeNothing) {
    ASSERT_TRUE(log_init({.level = "info", .format = "text", .out = out_}));
    EXPECT_EQ(log_init({.level = "loud"}).error().message,
              "log level 'loud': expected trace, debug, info, warn, error, critical or off");
    EXPECT_EQ(log_init({.format = "xml"}).error().message, "log format 'xml': expected text or json");
    EXPECT_FALSE(log_set_level("loud"));
    spdlog::info("still here");
    EXPECT_NE(written().find("still here"), std::string::npos);
}

}  // namespace
}  // namespace sluice
