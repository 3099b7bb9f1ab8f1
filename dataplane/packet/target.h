// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What differs between the two targets of the shared sources: the kernel's BPF machine (C) and the native
// engine (C++20). Only this header and tables/lookup.h may ask which of the two is being compiled.
//
// Shared code assumes a little-endian machine: multi-byte words that are only compared, hashed or masked stay
// in memory order, and the masks are written for that order.
#ifndef SLUICE_PACKET_TARGET_H
#define SLUICE_PACKET_TARGET_H

#if defined(__bpf__)

// The helpers need the types before them.
// clang-format off
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
// clang-format on

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define SHARED_BEGIN
#define SHARED_END
#define SHARED static __attribute__((always_inline)) inline
// Off the hot path: one copy, called.
#define SHARED_COLD static __attribute__((noinline))
// A wire structure's fields may lie at any address. The verifier allows that on x86 and arm64, so nothing is
// needed.
#define WIRE
#define SHARED_ASSERT(condition, text) _Static_assert(condition, text)
#define NATIVE 0
// Ordered accesses. BPF has none before Linux 6.15; on x86 plain ones in program order are what is needed.
#define LOAD_ACQUIRE(place) (*(const volatile __typeof__(*(place))*)(place))
#define STORE_RELEASE(place, value)                         \
    do {                                                    \
        COMPILER_BARRIER();                                 \
        *(volatile __typeof__(*(place))*)(place) = (value); \
    } while (0)
// Makes the compiler forget what it proved about VALUE: it keeps the bound, or computes on the pointer only
// after the check for NULL, as the verifier wants to see.
#define OPAQUE(value) asm volatile("" : "+r"(value))

#else

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef std::uint8_t u8;
typedef std::uint16_t u16;
typedef std::uint32_t u32;
typedef std::uint64_t u64;

#define SHARED_BEGIN namespace sluice {
#define SHARED_END }
#define SHARED static inline __attribute__((always_inline))
#define SHARED_COLD [[maybe_unused]] static __attribute__((noinline))
#define WIRE __attribute__((packed))
#define SHARED_ASSERT(condition, text) static_assert(condition, text)
#define NATIVE 1
#define LOAD_ACQUIRE(place) __atomic_load_n(place, __ATOMIC_ACQUIRE)
#define STORE_RELEASE(place, value) __atomic_store_n(place, value, __ATOMIC_RELEASE)
#define OPAQUE(value)

#endif

SHARED_BEGIN

// Position of the lowest bit set in VALUE, which is not 0.
SHARED u32 lowest_bit(u64 value) {
#if NATIVE
    return (u32)__builtin_ctzll(value);
#else
    value =
        (value & (~value + 1)) - 1;  // population count of the zeros below: BPF has no instruction for either
    value = value - ((value >> 1) & 0x5555555555555555ULL);
    value = (value & 0x3333333333333333ULL) + ((value >> 2) & 0x3333333333333333ULL);
    value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
    return (u32)((value * 0x0101010101010101ULL) >> 56);
#endif
}

// Bit 7 of every byte of WORD that equals VALUE, exact (no borrow between bytes).
SHARED u64 bytes_equal(u64 word, u8 value) {
    u64 x = word ^ (value * 0x0101010101010101ULL);
    return ~(((x & 0x7f7f7f7f7f7f7f7fULL) + 0x7f7f7f7f7f7f7f7fULL) | x | 0x7f7f7f7f7f7f7f7fULL);
}

// The first byte marked in a word of bytes_equal(), when there is one.
SHARED u32 first_byte(u64 marked) {
#if NATIVE
    return lowest_bit(marked) / 8;
#else
    return (u32)((((marked & (~marked + 1)) >> 7) * 0x0001020304050607ULL) >> 56);
#endif
}

// Where VALUE is first found in the eight bytes of ONE (0 to 7) or in those of OTHER (8 to 15); 16: nowhere.
SHARED u32 first_equal_byte(u64 one, u64 other, u8 value) {
#if NATIVE && defined(__SSE2__)
    __m128i words = _mm_set_epi64x((long long)other, (long long)one);
    u32 found = (u32)_mm_movemask_epi8(_mm_cmpeq_epi8(words, _mm_set1_epi8((char)value)));
    return (u32)__builtin_ctz(found | 1u << 16);
#else
    u64 marked = bytes_equal(one, value);
    u64 in_other = bytes_equal(other, value);
    if (!(marked | in_other)) return 16;
    return marked ? first_byte(marked) : 8 + first_byte(in_other);
#endif
}

SHARED_END

#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
// Keeps the compiler from moving memory accesses across; on x86 the processor keeps loads and stores in order
// itself.
#define COMPILER_BARRIER() asm volatile("" ::: "memory")

#endif
