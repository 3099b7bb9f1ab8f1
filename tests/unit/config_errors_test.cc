// SPDX-License-Identifier: Apache-2.0
//
// What an operator reads, word by word.
#include <gtest/gtest.h>

#include "control/config/loader.h"

namespace sluice::config {
namespace {

// The errors of "version: 1" and, from line 2, `rest`, in a file called f.
std::string error_of(std::string_view rest) {
    const auto config = load_text("version: 1\n" + std::string(rest), "f");
    return config ? "" : config.error().message;
}

// A service with more keys, at column 4 of line 3.
std::string service(std::string_view more) {
    return error_of("services:\n - { name: s, vip: 192.0.2.1, protocol: tcp, ports: \"80\", " +
                    std::string(more) + " }");
}

std::string rule(std::string_view more) {
    return error_of("policy:\n rules: [{ name: r, " + std::string(more) + " }]");
}

TEST(ConfigErrors, VersionIsRequiredAndOne) {
    EXPECT_EQ(load_text("interfaces: []\n", "f").error().message, "f:1:1: version: missing: expected 1");
    EXPECT_EQ(load_text("version: 2\n", "f").error().message, "f:1:10: version: value \"2\": expected 1");
}

TEST(ConfigErrors, AWrongWordOffersTheNearestOne) {
    EXPECT_EQ(service("mode: nta"),
              "f:3:65: services[0].mode: value \"nta\": expected nat, fullnat, dsr_l2, dsr_ipip, dsr_gre, "
              "dsr_gue or proxy");
    EXPECT_EQ(service("mode: dsr-ipip"),
              "f:3:65: services[0].mode: value \"dsr-ipip\": expected nat, fullnat, dsr_l2, dsr_ipip, "
              "dsr_gre, dsr_gue or "
              "proxy (did you mean \"dsr_ipip\"?)");
}

TEST(ConfigErrors, AnUnknownKeyListsTheKnownOnes) {
    EXPECT_EQ(error_of("control: { sockt: /run/x }"),
              "f:2:12: control.sockt: unknown key: expected one of socket (did you mean \"socket\"?)");
    EXPECT_EQ(error_of("state: { zzz: 1 }"), "f:2:10: state.zzz: unknown key: expected one of bpffs");
}

TEST(ConfigErrors, NumbersSayTheirRange) {
    for (const std::string value : {"0", "257", "-1", "1.5", "0x10", "sixty", "99999999999999999999"}) {
        EXPECT_EQ(error_of("workers: { batch: " + value + " }"),
                  "f:2:19: workers.batch: value \"" + value + "\": expected a number from 1 to 256");
    }
}

TEST(ConfigErrors, PortsSayTheirForm) {
    for (const std::string value :
         {"", "0", "65536", "80,", "90-80", "80-", "http", "80;81", "-80", "1-2-3"}) {
        EXPECT_EQ(
            error_of("services:\n - { name: s, vip: 192.0.2.1, protocol: tcp, ports: \"" + value + "\" }"),
            "f:3:53: services[0].ports: value \"" + value +
                "\": expected any, or ports from 1 to 65535 such as \"80,8000-8100\"");
    }
}

TEST(ConfigErrors, DurationsWantAUnitAndARange) {
    for (const std::string value : {"30", "30 s", "1d", "0s", "2h", "s", "1.5s"}) {
        EXPECT_EQ(error_of("timeouts: { tcp_syn: " + value + " }"),
                  "f:2:22: timeouts.tcp_syn: value \"" + value +
                      "\": expected a duration from 1s to 1h with its unit (ms, s, m, h)");
    }
}

TEST(ConfigErrors, RatesWantATime) {
    for (const std::string value : {"100", "0/s", "100/d", "x/s", "100K/s", "/s", "100/"}) {
        EXPECT_EQ(rule("action: rate_limit, rate: { packets: " + value + " }"),
                  "f:3:58: policy.rules[0].rate.packets: value \"" + value +
                      "\": expected a rate such as 100/s (or /m, /h; k, M and G multiply)");
    }
}

TEST(ConfigErrors, ListsNameTheEntry) {
    EXPECT_EQ(error_of("policy: { managed: [10.0.0.0/8, 10.0.0.0/33] }"),
              "f:2:33: policy.managed[1]: value \"10.0.0.0/33\": expected an IPv4 or IPv6 address or prefix "
              "such as "
              "10.0.0.0/8");
    EXPECT_EQ(error_of("interfaces: eth0"),
              "f:2:13: interfaces: value \"eth0\": expected a list of entries that are each a mapping");
}

TEST(ConfigErrors, AutoIsOfferedBesideTheRest) {
    EXPECT_EQ(error_of("interfaces: [{ name: eth0, queues: many }]"),
              "f:2:36: interfaces[0].queues: value \"many\": expected auto or a number from 1 to 256");
    EXPECT_EQ(error_of("interfaces: [{ name: eth0, mac: \"01:00:5e:00:00:01\" }]"),
              "f:2:33: interfaces[0].mac: value \"01:00:5e:00:00:01\": expected auto or a unicast MAC "
              "address such as "
              "02:00:00:00:00:01");
}

TEST(ConfigErrors, BooleansAreTrueAndFalseOnly) {
    EXPECT_EQ(error_of("workers: { prefetch: yes }"),
              "f:2:22: workers.prefetch: value \"yes\": expected true or false");
}

TEST(ConfigErrors, TcpFlagsAreNamedOnce) {
    for (const std::string value : {"syn,!syn", "ack,ack", "sin", "", "!"}) {
        EXPECT_EQ(
            rule("action: drop, tcp_flags: \"" + value + "\""),
            "f:3:46: policy.rules[0].tcp_flags: value \"" + value +
                "\": expected flags such as \"syn,!ack\" out of fin, syn, rst, psh, ack, urg, ece, cwr");
    }
}

TEST(ConfigErrors, SchedulesSayTheirForm) {
    for (const std::string value :
         {"Mon", "Fri-Mon 08:00-18:00 UTC", "Mon 18:00-08:00 UTC", "Mon 8:00-18:00 UTC",
          "Mon 08:00-24:01 UTC", "Mon 08:00-18:00 CET", "Mon-Tue-Wed 08:00-18:00 UTC"}) {
        EXPECT_EQ(rule("action: evaluate, when: { schedule: \"" + value + "\" }"),
                  "f:3:57: policy.rules[0].when.schedule: value \"" + value +
                      "\": expected days and times such as \"Mon-Fri 08:00-18:00 UTC\"");
    }
}

TEST(ConfigErrors, SeveralAreReportedTogetherInTheFilesOrder) {
    EXPECT_EQ(error_of("workers: { batch: x }\nlog: { level: loud, format: txt }\n"),
              "f:2:19: workers.batch: value \"x\": expected a number from 1 to 256\n"
              "f:3:15: log.level: value \"loud\": expected trace, debug, info, warn, error, critical or off\n"
              "f:3:29: log.format: value \"txt\": expected text or json (did you mean \"text\"?)");
}

TEST(ConfigErrors, AKeyGivenTwiceIsRefusedThoughBothAreGood) {
    EXPECT_EQ(error_of("log: { level: info, level: debug }"),
              "f:2:21: log.level: key given twice, first in line 2: expected it once");
}

}  // namespace
}  // namespace sluice::config
