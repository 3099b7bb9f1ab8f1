// SPDX-License-Identifier: Apache-2.0
//
// Prefixes as numbers, which sort and compare in two words, and the walk over sorted prefixes that knows for
// each the longest one covering it.
#pragma once

#include <compare>
#include <vector>

#include "control/config/address.h"
#include "dataplane/packet/address.h"

namespace sluice::compile {

inline u64 big_endian_word(const uint8_t* bytes) {
    u64 word;
    std::memcpy(&word, bytes, sizeof word);
    return __builtin_bswap64(word);
}

inline struct address to_address(const config::Address& a) {
    struct address out;
    std::memcpy(out.word, a.bytes.data(), sizeof out.word);
    return out;
}

// Bits beyond the length are zero. Sorts so that a prefix comes right before all that it covers.
struct PrefixKey {
    u64 high = 0;
    u64 low = 0;
    u8 length = 0;

    static PrefixKey of(const config::Prefix& prefix) {
        const uint8_t* bytes = prefix.address.bytes.data();
        return {big_endian_word(bytes), big_endian_word(bytes + 8), prefix.length};
    }
    static PrefixKey of(const config::Address& host) { return of(config::Prefix{host, 128}); }
    static constexpr PrefixKey v4_root() { return {0, 0xffffULL << 32, 96}; }

    // The first `bits` bits of it; `bits` is at most its length.
    PrefixKey cut(u8 bits) const {
        if (bits <= 64) return {bits == 0 ? 0 : high & ~0ULL << (64 - bits), 0, bits};
        return {high, low & ~0ULL << (128 - bits), bits};
    }

    bool is_v4() const { return length >= 96 && high == 0 && low >> 32 == 0xffff; }

    // In the plain 128-bit space, in which ::/0 covers IPv4, too.
    bool covers(const PrefixKey& other) const { return length <= other.length && other.cut(length) == *this; }

    struct address address() const {
        struct address out;
        out.word[0] = __builtin_bswap64(high);
        out.word[1] = __builtin_bswap64(low);
        return out;
    }

    auto operator<=>(const PrefixKey&) const = default;
};

// Visits prefixes in ascending order and answers, for each, the value of the longest one before it that
// covers it. With `by_family` an IPv6 prefix never covers an IPv4 one.
template <typename Value>
class CoverStack {
public:
    explicit CoverStack(bool by_family) : by_family_(by_family) {}

    const Value* find(const PrefixKey& prefix) {
        auto& stack = stack_of(prefix);
        while (!stack.empty() && !stack.back().prefix.covers(prefix)) stack.pop_back();
        return stack.empty() ? nullptr : &stack.back().value;
    }

    void push(const PrefixKey& prefix, Value value) {
        stack_of(prefix).push_back({prefix, std::move(value)});
    }

    // Of those that cover the last prefix asked for: the longest of at most `bits` bits.
    const Value* find_up_to(const PrefixKey& prefix, u8 bits) {
        auto& stack = stack_of(prefix);
        for (size_t i = stack.size(); i-- > 0;) {
            if (stack[i].prefix.length <= bits) return &stack[i].value;
        }
        return nullptr;
    }

private:
    struct Entry {
        PrefixKey prefix;
        Value value;
    };
    std::vector<Entry>& stack_of(const PrefixKey& prefix) {
        return stacks_[by_family_ && prefix.is_v4() ? 1 : 0];
    }

    bool by_family_;
    std::vector<Entry> stacks_[2];
};

}  // namespace sluice::compile
