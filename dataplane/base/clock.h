// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>

#include <cstdint>

namespace sluice {

inline std::uint64_t clock_ns(clockid_t id) {
    timespec now{};
    clock_gettime(id, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// Nanoseconds since boot, suspend not counted: the clock of bpf_ktime_get_ns(), so the two compare.
inline std::uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }

// Nanoseconds since 1970-01-01 UTC; jumps when the clock is set. For people and files, not for timeouts.
inline std::uint64_t wall_ns() { return clock_ns(CLOCK_REALTIME); }

}  // namespace sluice
