// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "control/capture/filter.h"
#include "control/capture/pcapng.h"

namespace sluice::capture {
namespace {

// A datagram from 10.0.0.2:4242 to 10.0.0.3:53, headers alone.
std::vector<u8> datagram() {
    std::vector<u8> bytes(42);
    bytes[12] = 0x08;
    bytes[14] = 0x45;
    bytes[17] = 28;
    bytes[23] = 17;
    bytes[26] = 10, bytes[29] = 2;
    bytes[30] = 10, bytes[33] = 3;
    bytes[34] = 4242 >> 8, bytes[35] = 4242 & 0xff;
    bytes[37] = 53;
    bytes[39] = 8;
    return bytes;
}

bool takes(const std::string& expression) {
    const auto program = compile_filter(expression);
    EXPECT_TRUE(program) << program.error().message;
    const auto filter = PacketFilter::from(*program);
    EXPECT_TRUE(filter) << filter.error().message;
    const std::vector<u8> packet = datagram();
    return filter->takes(packet, static_cast<u32>(packet.size()));
}

TEST(CaptureFilter, TakesWhatItsExpressionSays) {
    EXPECT_TRUE(takes("udp port 53"));
    EXPECT_TRUE(takes("host 10.0.0.2 and dst port 53"));
    EXPECT_FALSE(takes("tcp"));
    EXPECT_FALSE(takes("src port 53"));
}

TEST(CaptureFilter, WithoutAProgramTakesEverything) {
    const auto filter = PacketFilter::from({});
    ASSERT_TRUE(filter);
    EXPECT_TRUE(filter->takes({}, 0));
}

TEST(CaptureFilter, LooksNoFurtherThanWhatIsThere) {
    const auto filter = PacketFilter::from(*compile_filter("udp port 53"));
    const std::vector<u8> packet = datagram();
    EXPECT_FALSE(filter->takes(std::span(packet).first(30), 42));
}

TEST(CaptureFilter, RefusesWhatIsNoExpression) { EXPECT_FALSE(compile_filter("prot tcp")); }

TEST(CaptureFilter, RefusesDirectionsThatAreNotInThePacket) {
    for (const char* expression : {"inbound", "outbound", "udp and not inbound"}) {
        const auto program = compile_filter(expression);
        ASSERT_FALSE(program) << expression;
        EXPECT_NE(program.error().message.find("--direction"), std::string::npos);
    }
}

TEST(CaptureFilter, RefusesProgramsThatAKernelWouldRefuse) {
    EXPECT_FALSE(PacketFilter::from({{0x05, 0, 0, 1000}, {0x06, 0, 0, 1}}));  // jumps out of itself
    EXPECT_FALSE(PacketFilter::from({{0x28, 0, 0, 12}}));                     // does not return
    EXPECT_FALSE(PacketFilter::from({{0x10006, 0, 0, 1}}));
    EXPECT_FALSE(PacketFilter::from({{0x06, 256, 0, 1}}));
    EXPECT_FALSE(PacketFilter::from(std::vector<Instruction>(5000, {0x06, 0, 0, 1})));
}

TEST(Pcapng, BlocksReadAsTheyWereWritten) {
    std::string file;
    add_section(file, "sluiced");
    add_interface(file, "eth0.7", "af_xdp", 2048);
    const std::vector<u8> packet = datagram();
    add_packet(file, {0, 1'234'567'890'123'456'789, 90, true, "verdict=drop reason=policy", packet});
    std::string_view rest = file;
    std::vector<std::string_view> blocks;
    while (const u32 length = block_head(rest).length) {
        EXPECT_EQ(length % 4, 0u);
        blocks.push_back(rest.substr(0, length));
        rest.remove_prefix(length);
    }
    EXPECT_TRUE(rest.empty());
    ASSERT_EQ(blocks.size(), 3u);
    EXPECT_EQ(block_head(blocks[0]).type, SECTION_BLOCK);
    EXPECT_EQ(interface_name_of(blocks[1]), "eth0.7");
    EXPECT_EQ(interface_description_of(blocks[1]), "af_xdp");
    const PacketBlock read = packet_of(blocks[2]);
    EXPECT_EQ(read.time_ns, 1'234'567'890'123'456'789u);
    EXPECT_EQ(read.length, 90u);
    EXPECT_TRUE(read.outbound);
    EXPECT_EQ(read.comment, "verdict=drop reason=policy");
    EXPECT_TRUE(std::equal(read.bytes.begin(), read.bytes.end(), packet.begin(), packet.end()));
}

TEST(Pcapng, ABlockThatIsCutShortIsNotWhole) {
    std::string file;
    add_packet(file, {0, 1, 90, false, "comment", datagram()});
    EXPECT_EQ(block_head(std::string_view(file).substr(0, file.size() - 1)).length, 0u);
    EXPECT_EQ(block_head("abc").length, 0u);
}

}  // namespace
}  // namespace sluice::capture
