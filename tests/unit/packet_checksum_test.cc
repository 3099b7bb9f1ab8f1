// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <random>

#include "dataplane/packet/checksum.h"
#include "dataplane/tables/lookup.h"
#include "tests/support/packets.h"

namespace sluice {
namespace {

using namespace test;

Bytes random_bytes(std::mt19937& random, size_t length) {
    Bytes out(length);
    for (u8& byte : out) byte = static_cast<u8>(random());
    return out;
}

u16 raw16(const Bytes& b, size_t at) {
    u16 value;
    std::memcpy(&value, &b[at], sizeof value);
    return value;
}

struct packet packet_over(Bytes& b) {
    return {b.data(), b.data() + b.size(), nullptr};
}

TEST(Checksum, SumOfAnyBytesIsTheNaiveOne) {
    std::mt19937 random(1);
    for (int i = 0; i < 2000; i++) {
        Bytes content = random_bytes(random, 3 + random() % 300);
        if (i % 10 == 0) std::fill(content.begin(), content.end(), 0xff);
        const struct packet p = packet_over(content);
        const u32 offset = random() % 3;
        const u16 sum = sum_fold(packet_sum(&p, offset, static_cast<u32>(content.size() - offset)));
        const u16 naive = naive_checksum(Bytes(content.begin() + offset, content.end()));
        EXPECT_EQ(static_cast<u16>(~__builtin_bswap16(sum)), naive)
            << content.size() << " bytes from " << offset;
    }
}

TEST(Checksum, SumBeyondThePacketIsNothing) {
    Bytes content(10, 1);
    const struct packet p = packet_over(content);
    EXPECT_EQ(packet_sum(&p, 4, 7), 0u);
}

// RFC 1624: what an update gives is what computing it anew gives, for any replacement of any words.
TEST(Checksum, UpdateIsRecomputation) {
    std::mt19937 random(2);
    for (int i = 0; i < 5000; i++) {
        Bytes content = random_bytes(random, 40);
        put16(content, 0, 0);
        put16(content, 0, naive_checksum(content));
        const size_t at = 2 + 2 * (random() % 18);
        const u16 from = raw16(content, at);
        put16(content, at, static_cast<u16>(random() % 4 == 0 ? 0xffff : random()));
        const u16 updated = checksum_update(raw16(content, 0), sum_delta(from, raw16(content, at)));
        std::memcpy(content.data(), &updated, sizeof updated);
        EXPECT_EQ(naive_checksum(content), 0);
    }
}

TEST(Checksum, UpdateAndItsComplementUndoEachOther) {
    std::mt19937 random(3);
    for (int i = 0; i < 5000; i++) {
        const u16 checksum = static_cast<u16>(random() % 0xffff);
        const u16 delta = sum_delta(random(), random());
        const u16 back = checksum_update(checksum_update(checksum, delta), static_cast<u16>(~delta));
        EXPECT_EQ(back % 0xffff, checksum % 0xffff);
    }
}

// RFC 9260, Appendix A, bit by bit.
u32 naive_crc32c(const Bytes& content) {
    u32 crc = ~0u;
    for (const u8 byte : content) {
        crc ^= byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

u32 sctp_checksum(Bytes packet) {
    std::fill(packet.begin() + 8, packet.begin() + 12, 0);
    return naive_crc32c(packet);
}

u32 word_at(const Bytes& b, size_t at) {
    u32 word;
    std::memcpy(&word, &b[at], sizeof word);
    return word;
}

TEST(Checksum, NaiveCrcIsTheStandardOne) { EXPECT_EQ(naive_crc32c(text("123456789")), 0xe3069283u); }

TEST(Checksum, SctpUpdateIsRecomputation) {
    std::mt19937 random(4);
    for (size_t length = 12; length < 200; length++) {
        Bytes content = random_bytes(random, length);
        const u32 sum = sctp_checksum(content);
        std::memcpy(&content[8], &sum, sizeof sum);
        const u32 from = word_at(content, 0);
        const u32 to = random();
        std::memcpy(content.data(), &to, sizeof to);
        const struct packet p = packet_over(content);
        packet_update_crc32c(&p, 0, static_cast<u32>(length), from);
        EXPECT_EQ(word_at(content, 8), sctp_checksum(content)) << length << " bytes";
    }
}

TEST(Checksum, AWrongSctpChecksumStaysWrong) {
    Bytes content(64, 7);
    const u32 wrong = sctp_checksum(content) ^ 0x10;
    std::memcpy(&content[8], &wrong, sizeof wrong);
    const u32 from = word_at(content, 0);
    content[1] ^= 0x55;
    const struct packet p = packet_over(content);
    packet_update_crc32c(&p, 0, 64, from);
    EXPECT_EQ(word_at(content, 8), sctp_checksum(content) ^ 0x10);
}

}  // namespace
}  // namespace sluice
