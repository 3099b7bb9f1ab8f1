// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "control/sluicectl/rates.h"
#include "control/sluicectl/words.h"

namespace sluice::ctl {
namespace {

Json traffic(double packets, double drops) {
    return {{"received", {{"packets", packets}, {"bytes", packets * 100}}},
            {"verdicts", {{"forward", {{"packets", packets - drops}, {"bytes", 0}}}}},
            {"drops", {{"no_route", drops}}}};
}

Look look(double at, double packets, double drops, double busy) {
    Json status = {
        {"flow_table", {{"live", 7}, {"capacity", 1024}, {"created", packets / 10}}},
        {"interfaces",
         {{{"name", "quiet"}, {"traffic", {{"xdp", traffic(0, 0)}}}},
          {{"name", "eth0"}, {"traffic", {{"xdp", traffic(packets, drops)}}}}}},
        {"workers", {{{"id", 0}, {"busy_seconds", busy}, {"idle_seconds", at - busy}, {"frames", packets}}}}};
    Json backend = {{"name", "10.0.0.1:80"},
                    {"flows_created", packets / 10},
                    {"to", {{"packets", packets}, {"bytes", packets * 100}}},
                    {"from", {{"packets", 0}, {"bytes", 0}}}};
    return {at, status, {{"services", {{{"name", "web"}, {"backends", {backend}}}}}}};
}

TEST(Rates, AreDifferencesOverTime) {
    const Json rates = rates_between(look(10, 1000, 100, 2), look(12, 3000, 300, 3));
    const Json& busiest = rates["interfaces"][0];
    EXPECT_EQ(busiest["interface"], "eth0");
    EXPECT_EQ(busiest["packets"], 1000);
    EXPECT_EQ(busiest["bits"], 800'000);
    EXPECT_EQ(busiest["verdicts"]["forward"], 900);
    EXPECT_EQ(busiest["drops"]["no_route"], 100);
    EXPECT_EQ(rates["services"][0]["packets_to"], 1000);
    EXPECT_EQ(rates["services"][0]["flows"], 100);
    EXPECT_EQ(rates["workers"][0]["busy"], 0.5);
    EXPECT_EQ(rates["new_flows"], 100);
}

TEST(Rates, CountersThatBeganAnewAreNoNegativeRates) {
    const Json rates = rates_between(look(10, 1000, 100, 2), look(12, 30, 3, 3));
    EXPECT_EQ(rates["interfaces"][0]["packets"], 15);
}

TEST(Rates, AScreenIsNoWiderThanAskedFor) {
    const Json rates = rates_between(look(10, 1000, 100, 2), look(12, 3e9, 3e8, 3));
    for (const size_t width : {80U, 60U}) {
        for (const std::string& line : top_lines(rates, width)) EXPECT_LE(line.size(), width) << line;
    }
    EXPECT_NE(top_lines(rates, 80).front().find("flows 7 of 1.02k"), std::string::npos);
}

TEST(Words, KnowEveryCommandAndOption) {
    CLI::App app("test", "sluicectl");
    CLI::App* config = app.add_subcommand("config", "files");
    std::string file;
    config->add_subcommand("check", "would it be taken?")->add_option("--file", file, "the file");
    const std::string bash = completion_of(app, "bash");
    EXPECT_NE(bash.find("\"\") words=\"config --help\""), std::string::npos) << bash;
    EXPECT_NE(bash.find("\"config check\") words=\"--help --file\""), std::string::npos) << bash;
    EXPECT_EQ(bash.find("bashcompinit"), std::string::npos);
    EXPECT_EQ(completion_of(app, "zsh").find("autoload -U +X bashcompinit"), 0U);
    EXPECT_NE(manual_of(app).find(".B config check"), std::string::npos) << manual_of(app);
}

}  // namespace
}  // namespace sluice::ctl
