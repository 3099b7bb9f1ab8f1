// SPDX-License-Identifier: Apache-2.0
#include "control/config/flags.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice::config {
namespace {

Result<TierFlags> read(const std::map<std::string, std::string>& environment) {
    return read_flags([&](const char* name) {
        const auto found = environment.find(name);
        return found == environment.end() ? nullptr : found->second.c_str();
    });
}

TEST(ConfigFlags, UnsetAndEmptyAreAutoByDefault) {
    const auto flags = read({{"ENABLE_XDP", ""}});
    ASSERT_TRUE(flags);
    EXPECT_EQ(flags->xdp, (Flag{Switch::automatic, DecidedBy::fallback}));
    EXPECT_EQ(flags->numa, (Flag{Switch::automatic, DecidedBy::fallback}));
}

TEST(ConfigFlags, EachReadsItsOwnVariableInAnyCase) {
    const auto flags = read({{"ENABLE_XDP", "true"},
                             {"ENABLE_AF_XDP", "FALSE"},
                             {"ENABLE_DPDK", "Auto"},
                             {"ENABLE_EBPF", "False"},
                             {"ENABLE_NUMA", "True"}});
    ASSERT_TRUE(flags);
    EXPECT_EQ(flags->xdp, (Flag{Switch::on, DecidedBy::environment}));
    EXPECT_EQ(flags->af_xdp, (Flag{Switch::off, DecidedBy::environment}));
    EXPECT_EQ(flags->dpdk, (Flag{Switch::automatic, DecidedBy::environment}));
    EXPECT_EQ(flags->ebpf, (Flag{Switch::off, DecidedBy::environment}));
    EXPECT_EQ(flags->numa, (Flag{Switch::on, DecidedBy::environment}));
}

TEST(ConfigFlags, EveryWrongValueIsNamed) {
    const auto flags = read({{"ENABLE_XDP", "yes"}, {"ENABLE_NUMA", "1"}});
    ASSERT_FALSE(flags);
    EXPECT_EQ(flags.error().message,
              "environment: ENABLE_XDP: value \"yes\": expected true, false or auto\n"
              "environment: ENABLE_NUMA: value \"1\": expected true, false or auto");
}

TEST(ConfigFlags, AFlagBeatsTheFileAndSaysSo) {
    const Flag on{Switch::on, DecidedBy::environment};
    const Flag off{Switch::off, DecidedBy::environment};
    const Flag automatic{Switch::automatic, DecidedBy::environment};
    EXPECT_EQ(decide(off, true).text(), "false (environment; the file says true)");
    EXPECT_EQ(decide(on, false).text(), "true (environment; the file says false)");
    EXPECT_EQ(decide(on, true).text(), "true (environment)");
    EXPECT_EQ(decide(on, std::nullopt).text(), "true (environment)");
    EXPECT_EQ(decide(automatic, false).text(), "false (file)");
    EXPECT_EQ(decide(automatic, std::nullopt).text(), "auto (environment)");
    EXPECT_EQ(decide(Flag{}, true).text(), "true (file)");
    EXPECT_EQ(decide(Flag{}, std::nullopt).text(), "auto (default)");
}

TEST(ConfigFlags, TiersKeepTheFilesOrderAndTheFlagsWord) {
    TierFlags flags;
    flags.xdp = {Switch::off, DecidedBy::environment};
    flags.af_xdp = {Switch::on, DecidedBy::environment};
    Interface interface;
    interface.tiers = std::vector<Tier>{Tier::epoll, Tier::xdp};
    std::string all;
    for (const TierDecision& each : decide_tiers(flags, interface)) {
        all += fmt::format("{} {}\n", static_cast<int>(each.tier), each.decision.text());
    }
    EXPECT_EQ(all,
              "3 true (file)\n"
              "1 false (environment; the file says true)\n"
              "2 true (environment; the file says false)\n");
}

TEST(ConfigFlags, DpdkIsTriedFirstWhereThereIsADevice) {
    Interface interface;
    interface.dpdk = DpdkPort{};
    const auto decisions = decide_tiers({}, interface);
    ASSERT_EQ(decisions.size(), 4U);
    EXPECT_EQ(decisions[0].tier, Tier::dpdk);
    EXPECT_EQ(decisions[0].decision, (Decision{Switch::automatic, DecidedBy::fallback, false}));
}

}  // namespace
}  // namespace sluice::config
