// SPDX-License-Identifier: Apache-2.0
//
// Which Maglev rings an image has. One takes milliseconds to make, so that those of the snapshot in force are
// taken over where nothing of them changed.
#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "control/compile/maglev.h"
#include "dataplane/tables/image.h"

namespace sluice::compile {

// All that a ring depends on: address words, port and weight of each backend, in the order of its records.
using RingKey = std::vector<std::tuple<u64, u64, u16, u32>>;
// The image's line where each begins; those of MAGLEV_SIZE entries only.
using RingLines = std::map<RingKey, u32>;

constexpr u32 ring_lines = (MAGLEV_SIZE * sizeof(u16) + IMAGE_LINE - 1) / IMAGE_LINE;

// Of an image that outlives whoever is told of them.
struct KnownRings {
    const RingLines* lines = nullptr;
    const image_line* image = nullptr;

    const image_line* find(const RingKey& key) const {
        if (lines == nullptr || image == nullptr) return nullptr;
        const auto at = lines->find(key);
        return at == lines->end() ? nullptr : image + at->second;
    }
};

inline RingKey ring_key(const std::vector<RingBackend>& backends) {
    RingKey key;
    key.reserve(backends.size());
    for (const RingBackend& b : backends)
        key.emplace_back(b.address.word[0], b.address.word[1], b.port, b.weight);
    return key;
}

}  // namespace sluice::compile
