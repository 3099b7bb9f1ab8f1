// SPDX-License-Identifier: Apache-2.0
#include "control/compile/row_set.h"

#include <algorithm>

namespace sluice::compile {

namespace {

u64 hash_words(const std::vector<u64>& words) {
    u64 h = words.size();
    for (const u64 word : words) {
        h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
        h ^= h >> 32;
    }
    return h;
}

}  // namespace

RowSet::RowSet(u32 rules) : rules_(rules), words_((rules + 63) / 64) {
    RuleBits all(rules);
    for (u32 rule = 0; rule < rules; ++rule) all.set(rule);
    intern(all);
}

u32 RowSet::intern(const RuleBits& bits) {
    const std::vector<u64>& words = bits.words();
    const u64 hash = hash_words(words);
    const auto [first, last] = by_hash_.equal_range(hash);
    for (auto at = first; at != last; ++at) {
        if (std::equal(words.begin(), words.end(), row(at->second))) return at->second;
    }
    if (count_ == limit) {
        overflown_ = true;
        return 0;
    }
    rows_.insert(rows_.end(), words.begin(), words.end());
    by_hash_.emplace(hash, count_);
    return count_++;
}

RuleBits RowSet::bits(u32 index) const { return RuleBits(std::vector<u64>(row(index), row(index) + words_)); }

u32 RowSet::row_lines() const {
    return static_cast<u32>(((POLICY_SUMMARY_WORDS + words_) * sizeof(u64) + IMAGE_LINE - 1) / IMAGE_LINE);
}

Lines RowSet::lines() const {
    if (words_ == 0) return {};
    Lines lines(size_t{count_} * row_lines());
    for (u32 index = 0; index < count_; ++index) {
        u64* out = lines[size_t{index} * row_lines()].word;
        const u64* words = row(index);
        for (u32 w = 0; w < words_; ++w) {
            if (words[w] != 0) out[w / 64] |= 1ULL << (w % 64);
        }
        std::copy_n(words, words_, out + POLICY_SUMMARY_WORDS);
    }
    return lines;
}

}  // namespace sluice::compile
