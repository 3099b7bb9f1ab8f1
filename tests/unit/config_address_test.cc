// SPDX-License-Identifier: Apache-2.0
#include "control/config/address.h"

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

TEST(ConfigAddress, IPv4IsHeldMappedAndReadsBackAsWritten) {
    const auto address = Address::parse("192.0.2.10");
    ASSERT_TRUE(address);
    EXPECT_TRUE(address->is_v4());
    EXPECT_EQ(address->v4(), 0xc000020aU);
    EXPECT_EQ(address->bytes[10], 0xff);
    EXPECT_EQ(address->text(), "192.0.2.10");
}

TEST(ConfigAddress, IPv6ReadsBackInItsShortForm) {
    const auto address = Address::parse("2001:DB8:0:0::1");
    ASSERT_TRUE(address);
    EXPECT_FALSE(address->is_v4());
    EXPECT_EQ(address->text(), "2001:db8::1");
}

TEST(ConfigAddress, RefusesWhatIsNoAddress) {
    const std::string_view bad[] = {"",
                                    "1.2.3",
                                    "1.2.3.256",
                                    "1.2.3.4 ",
                                    "01.2.3.4x",
                                    ":",
                                    "::1%eth0",
                                    "::ffff:1.2.3.4",
                                    "1.2.3.4/24",
                                    "www",
                                    std::string_view("1.2.3.4\0", 8)};
    for (const std::string_view text : bad) EXPECT_FALSE(Address::parse(text)) << text;
}

TEST(ConfigPrefix, AnIPv4LengthIs96MoreInTheMappedSpace) {
    const auto prefix = Prefix::parse("10.1.2.3/24");
    ASSERT_TRUE(prefix);
    EXPECT_EQ(prefix->length, 120);
    EXPECT_EQ(prefix->text_length(), 24);
    EXPECT_EQ(prefix->text(), "10.1.2.0/24");
}

TEST(ConfigPrefix, AnAddressAloneIsItsHostPrefix) {
    EXPECT_EQ(Prefix::parse("10.1.2.3")->text(), "10.1.2.3/32");
    EXPECT_EQ(Prefix::parse("::1")->text(), "::1/128");
    EXPECT_TRUE(Prefix::parse("::1")->is_host());
}

TEST(ConfigPrefix, ClearsHostBitsInsideAByte) {
    EXPECT_EQ(Prefix::parse("10.255.0.0/9")->text(), "10.128.0.0/9");
    EXPECT_EQ(Prefix::parse("ffff::/3")->text(), "e000::/3");
}

TEST(ConfigPrefix, TheDefaultRouteOfOneFamilyDoesNotContainTheOther) {
    const Prefix all4 = *Prefix::parse("0.0.0.0/0");
    const Prefix all6 = *Prefix::parse("::/0");
    EXPECT_TRUE(all4.is_v4());
    EXPECT_FALSE(all6.is_v4());
    EXPECT_TRUE(all4.contains(*Address::parse("255.1.2.3")));
    EXPECT_FALSE(all4.contains(*Address::parse("2001::1")));
    EXPECT_TRUE(all6.contains(*Address::parse("2001::1")));
    EXPECT_FALSE(all6.contains(*Address::parse("1.2.3.4")));
}

TEST(ConfigPrefix, ContainsIsExactAtTheEdges) {
    const Prefix prefix = *Prefix::parse("10.0.0.0/9");
    EXPECT_TRUE(prefix.contains(*Address::parse("10.127.255.255")));
    EXPECT_FALSE(prefix.contains(*Address::parse("10.128.0.0")));
}

TEST(ConfigPrefix, RefusesWrongLengths) {
    for (const std::string_view text :
         {"1.2.3.4/33", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/+8", "::/129", "::/1/2", "/8"}) {
        EXPECT_FALSE(Prefix::parse(text)) << text;
    }
}

TEST(ConfigInterfaceAddress, KeepsHostBitsAndKnowsItsNetwork) {
    const auto address = InterfaceAddress::parse("10.200.0.1/24");
    ASSERT_TRUE(address);
    EXPECT_EQ(address->text(), "10.200.0.1/24");
    EXPECT_EQ(address->network().text(), "10.200.0.0/24");
}

TEST(ConfigMac, ReadsAndWritesColonForm) {
    const auto mac = MacAddress::parse("02:00:de:AD:be:af");
    ASSERT_TRUE(mac);
    EXPECT_EQ(mac->text(), "02:00:de:ad:be:af");
    EXPECT_FALSE(mac->is_group());
    EXPECT_TRUE(MacAddress::parse("01:00:5e:00:00:01")->is_group());
}

TEST(ConfigMac, RefusesOtherForms) {
    for (const std::string_view text :
         {"", "02:00:de:ad:be", "02-00-de-ad-be-af", "02:00:de:ad:be:ag",
          "02:00:de:ad:be:af:", "0x:00:de:ad:be:af", "2:0:d:a:b:a", "-1:00:de:ad:be:af"}) {
        EXPECT_FALSE(MacAddress::parse(text)) << text;
    }
}

TEST(ConfigEndpoint, TakesBothFamilies) {
    EXPECT_EQ(Endpoint::parse("0.0.0.0:8082")->text(), "0.0.0.0:8082");
    EXPECT_EQ(Endpoint::parse("[::1]:80")->text(), "[::1]:80");
}

TEST(ConfigEndpoint, RefusesMissingPartsAndUnbracketedIPv6) {
    for (const std::string_view text : {"8082", ":8082", "0.0.0.0", "0.0.0.0:0", "0.0.0.0:65536", "::1:80",
                                        "[1.2.3.4]:80", "[::1]", "localhost:80"}) {
        EXPECT_FALSE(Endpoint::parse(text)) << text;
    }
}

}  // namespace
}  // namespace sluice::config
