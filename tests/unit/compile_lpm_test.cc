// SPDX-License-Identifier: Apache-2.0
#include "control/compile/lpm_builder.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>

#include "tests/unit/compile_image.h"
#include "tests/unit/compile_naive.h"

namespace sluice::compile {
namespace {

using config::Address;
using config::Prefix;
using Random = std::mt19937_64;

constexpr u32 nothing = 0xffffffff;

Prefix prefix(std::string_view text) { return *Prefix::parse(text); }

class Table {
public:
    explicit Table(const std::map<Prefix, u32>& prefixes) {
        std::vector<LpmItem> items;
        for (const auto& [key, value] : prefixes) items.push_back({PrefixKey::of(key), value});
        Result<LpmTable> built = build_lpm(std::move(items), nothing);
        EXPECT_TRUE(built.ok()) << (built.ok() ? "" : built.error().message);
        kept = built->prefixes;
        markers = built->markers;
        ImageWriter writer;
        lpm = std::move(*built).write(writer);
        lines = writer.finish(image_header{});
    }
    u32 find(const Address& a) const { return lpm_find(tables_of(lines), lpm, a); }
    u32 find(std::string_view text) const { return find(*Address::parse(text)); }

    Lines lines;
    struct image_lpm lpm;
    size_t kept;
    size_t markers;
};

Address random_v4(Random& random, u32 top) {
    Address a;
    a.bytes[10] = a.bytes[11] = 0xff;
    const u64 bits = random();
    a.bytes[12] = static_cast<u8>(bits % top);
    for (int i = 13; i < 16; ++i) a.bytes[i] = static_cast<u8>(bits >> (8 * (i - 11)));
    return a;
}

Address random_v6(Random& random) {
    Address a;
    const u64 bits[2] = {random(), random()};
    std::memcpy(a.bytes.data(), bits, sizeof bits);
    a.bytes[0] = 0x20;
    a.bytes[1] = 0x01;
    for (int i = 2; i < 6; ++i) a.bytes[i] &= 0x83;  // few, so that prefixes nest
    return a;
}

Prefix masked(Address a, u8 length) {
    const u64 keep[2] = {address_mask_word(std::min<u32>(length, 64)),
                         address_mask_word(length > 64 ? length - 64 : 0)};
    u64 words[2];
    std::memcpy(words, a.bytes.data(), sizeof words);
    for (int i = 0; i < 2; ++i) words[i] &= keep[i];
    std::memcpy(a.bytes.data(), words, sizeof words);
    return {a, length};
}

std::map<Prefix, u32> random_prefixes(Random& random, size_t count) {
    std::map<Prefix, u32> prefixes;
    while (prefixes.size() < count) {
        const bool v4 = random() % 2 == 0;
        const Prefix p = v4 ? masked(random_v4(random, 16), static_cast<u8>(96 + random() % 33))
                            : masked(random_v6(random), static_cast<u8>(random() % 129));
        prefixes[p] = static_cast<u32>(random() % 50);
    }
    return prefixes;
}

// An address inside a random one of the prefixes, or anywhere.
Address random_address(Random& random, const std::vector<Prefix>& prefixes) {
    if (random() % 8 == 0) return random() % 2 == 0 ? random_v4(random, 256) : random_v6(random);
    const Prefix& p = prefixes[random() % prefixes.size()];
    Address a = p.is_v4() ? random_v4(random, 256) : random_v6(random);
    const Prefix rest = masked(a, p.length);
    for (size_t i = 0; i < 16; ++i)
        a.bytes[i] = static_cast<u8>((a.bytes[i] ^ rest.address.bytes[i]) | p.address.bytes[i]);
    return a;
}

TEST(Lpm, AnswersTheLongestPrefixThatCovers) {
    const Table table({{prefix("10.0.0.0/8"), 1},
                       {prefix("10.1.0.0/16"), 2},
                       {prefix("10.1.2.3"), 3},
                       {prefix("2001:db8::/32"), 4},
                       {prefix("2001:db8::1"), 5}});
    EXPECT_EQ(table.find("10.9.9.9"), 1U);
    EXPECT_EQ(table.find("10.1.9.9"), 2U);
    EXPECT_EQ(table.find("10.1.2.3"), 3U);
    EXPECT_EQ(table.find("11.0.0.1"), nothing);
    EXPECT_EQ(table.find("2001:db8::2"), 4U);
    EXPECT_EQ(table.find("2001:db8::1"), 5U);
    EXPECT_EQ(table.find("2001:db9::1"), nothing);
}

TEST(Lpm, EmptyTableAnswersNone) {
    const Table table({});
    EXPECT_EQ(table.lpm.line, 0U);
    EXPECT_EQ(table.find("10.0.0.1"), nothing);
}

TEST(Lpm, TheDefaultOfOneFamilyIsNotTheOthers) {
    const Table six({{prefix("::/0"), 6}});
    EXPECT_EQ(six.find("2001:db8::1"), 6U);
    EXPECT_EQ(six.find("10.0.0.1"), nothing);
    const Table four({{prefix("0.0.0.0/0"), 4}});
    EXPECT_EQ(four.find("10.0.0.1"), 4U);
    EXPECT_EQ(four.find("2001:db8::1"), nothing);
    const Table both({{prefix("::/0"), 6}, {prefix("0.0.0.0/0"), 4}, {prefix("10.0.0.0/8"), 10}});
    EXPECT_EQ(both.find("::1"), 6U);
    EXPECT_EQ(both.find("192.0.2.1"), 4U);
    EXPECT_EQ(both.find("10.0.0.1"), 10U);
}

TEST(Lpm, PrefixesThatChangeNothingAreLeftOut) {
    const Table table({{prefix("10.0.0.0/8"), 1},
                       {prefix("10.1.0.0/16"), 1},
                       {prefix("10.1.1.0/24"), 2},
                       {prefix("11.0.0.0/8"), nothing}});
    EXPECT_EQ(table.kept, 2U);
    EXPECT_EQ(table.find("10.1.0.1"), 1U);
    EXPECT_EQ(table.find("10.1.1.1"), 2U);
}

TEST(Lpm, AgreesWithANaiveSearch) {
    Random random(11);
    for (const size_t count : {1U, 2U, 5U, 30U, 400U}) {
        for (int round = 0; round < 5; ++round) {
            const auto prefixes = random_prefixes(random, count);
            const Table table(prefixes);
            std::vector<Prefix> list;
            for (const auto& [key, value] : prefixes) list.push_back(key);
            for (int i = 0; i < 4000; ++i) {
                const Address a = random_address(random, list);
                ASSERT_EQ(table.find(a), naive::longest_match(prefixes, a).value_or(nothing))
                    << a.text() << " among " << count;
            }
        }
    }
}

TEST(Lpm, EveryLengthOfBothFamiliesAtOnceIsFound) {
    std::map<Prefix, u32> prefixes;
    Random random(5);
    const Address six = random_v6(random);
    for (u8 length = 2; length <= 128; ++length) prefixes[masked(six, length)] = length;
    const Table table(prefixes);
    EXPECT_EQ(table.find(six), 128U);
    for (u8 length = 2; length < 128; ++length) {
        Address a = six;
        a.bytes[length / 8] ^= static_cast<u8>(0x80 >> (length % 8));  // leaves the next longer one
        ASSERT_EQ(table.find(a), length);
    }
}

// Longest match by one hash map per length: quick enough for a million prefixes.
class ByLength {
public:
    explicit ByLength(const std::map<Prefix, u32>& prefixes) {
        for (const auto& [key, value] : prefixes) lengths_[key.length][key.address] = value;
    }
    u32 find(const Address& a) const {
        for (int length = 128; length >= 0; --length) {
            const auto& map = lengths_[static_cast<size_t>(length)];
            const auto at = map.find(masked(a, static_cast<u8>(length)).address);
            if (at != map.end() && Prefix{at->first, static_cast<u8>(length)}.contains(a)) return at->second;
        }
        return nothing;
    }

private:
    std::map<Address, u32> lengths_[129];
};

TEST(Lpm, AMillionPrefixesAreBuiltAndFound) {
    Random random(2);
    std::map<Prefix, u32> prefixes;
    while (prefixes.size() < 1000000) {
        const u8 length = static_cast<u8>(96 + 8 + std::min<u64>(random() % 28, 24));  // /8 to /32, most long
        prefixes[masked(random_v4(random, 224), length)] = static_cast<u32>(random());
    }
    const auto start = std::chrono::steady_clock::now();
    const Table table(prefixes);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    printf("1,000,000 prefixes: %.0f ms, %zu kept, %zu markers, %.1f MB\n", took.count(), table.kept,
           table.markers, static_cast<double>(table.lines.size() * sizeof(image_line)) / 1e6);
    const ByLength reference(prefixes);
    std::vector<Prefix> list;
    for (const auto& [key, value] : prefixes) list.push_back(key);
    for (int i = 0; i < 100000; ++i) {
        const Address a = random_address(random, list);
        ASSERT_EQ(table.find(a), reference.find(a)) << a.text();
    }
}

}  // namespace
}  // namespace sluice::compile
