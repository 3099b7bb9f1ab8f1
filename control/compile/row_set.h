// SPDX-License-Identifier: Apache-2.0
//
// Rows of the policy's bit vectors (struct image_policy), each content once.
#pragma once

#include <unordered_map>
#include <vector>

#include "control/compile/image_writer.h"

namespace sluice::compile {

// One bit per rule, rule r at bit r % 64 of word r / 64; bits past the last rule are clear.
class RuleBits {
public:
    explicit RuleBits(u32 rules) : words_((rules + 63) / 64) {}
    explicit RuleBits(std::vector<u64> words) : words_(std::move(words)) {}

    void set(u32 rule) { words_[rule / 64] |= 1ULL << (rule % 64); }
    void clear(u32 rule) { words_[rule / 64] &= ~(1ULL << (rule % 64)); }
    const std::vector<u64>& words() const { return words_; }

    RuleBits without(const RuleBits& others) const {
        std::vector<u64> words = words_;
        for (size_t i = 0; i < words.size(); ++i) words[i] &= ~others.words_[i];
        return RuleBits(std::move(words));
    }

private:
    std::vector<u64> words_;
};

class RowSet {
public:
    static constexpr u32 limit = 65536;  // rows are named by 16 bits

    // Row 0 has every rule's bit set.
    explicit RowSet(u32 rules);

    // The row with this content. Past `limit` distinct ones the answer is 0 and overflown() true.
    u32 intern(const RuleBits& bits);

    RuleBits bits(u32 row) const;
    u32 rules() const { return rules_; }
    u32 words() const { return words_; }
    u32 count() const { return count_; }
    bool overflown() const { return overflown_; }

    u32 row_lines() const;
    Lines lines() const;  // as the image has them: summary words first

private:
    const u64* row(u32 index) const { return rows_.data() + size_t{index} * words_; }

    u32 rules_;
    u32 words_;
    u32 count_ = 0;
    bool overflown_ = false;
    std::vector<u64> rows_;
    std::unordered_multimap<u64, u32> by_hash_;
};

}  // namespace sluice::compile
