// SPDX-License-Identifier: Apache-2.0
#include "control/compile/image_writer.h"

#include <bit>

namespace sluice::compile {

namespace {

// In buckets' order, so that each entry lies as near to its bucket as the order allows. Turns counts by
// bucket into the first slot of each bucket's entries; false when an entry would lie too far.
bool place_buckets(std::vector<u32>& counts, u32 per_line) {
    u32 next = 0;
    for (u32 bucket = 0; bucket < counts.size(); ++bucket) {
        if (next < bucket * per_line) next = bucket * per_line;
        const u32 count = counts[bucket];
        counts[bucket] = next;
        next += count;
        if (count != 0 && (next - 1) / per_line - bucket >= PROBE_LINES) return false;
    }
    return true;
}

}  // namespace

std::optional<HashLayout> lay_out_hashes(const std::vector<u32>& hashes, u32 per_line) {
    constexpr u32 most_buckets = 1U << 28;
    const u32 wanted = static_cast<u32>(hashes.size()) / per_line + 1;
    for (u32 buckets = std::bit_ceil(wanted); buckets <= most_buckets; buckets *= 2) {
        std::vector<u32> next(buckets);
        for (const u32 hash : hashes) ++next[hash & (buckets - 1)];
        if (!place_buckets(next, per_line)) {
            // Growing helps only against different hashes; some room is enough to tell.
            if (buckets / 1024 > hashes.size() + 1) return std::nullopt;
            continue;
        }
        HashLayout layout{buckets - 1, buckets + PROBE_LINES, {}};
        layout.slots.reserve(hashes.size());
        for (const u32 hash : hashes) layout.slots.push_back(next[hash & (buckets - 1)]++);
        return layout;
    }
    return std::nullopt;
}

}  // namespace sluice::compile
