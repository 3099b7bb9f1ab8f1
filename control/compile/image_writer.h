// SPDX-License-Identifier: Apache-2.0
//
// Sections of an image and how they are joined (dataplane/tables/image.h).
#pragma once

#include <map>
#include <new>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/tables/image.h"

namespace sluice::compile {

template <typename T>
struct LineAllocator {
    using value_type = T;
    LineAllocator() = default;
    template <typename U>
    explicit LineAllocator(const LineAllocator<U>&) {}

    T* allocate(size_t n) {
        return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{IMAGE_LINE}));
    }
    void deallocate(T* p, size_t) { ::operator delete (p, std::align_val_t{IMAGE_LINE}); }
    bool operator==(const LineAllocator&) const { return true; }
};

// Lines lie on cache lines.
using Lines = std::vector<image_line, LineAllocator<image_line>>;

// Records one after the other, as many to a line as fit.
template <typename T>
Lines lines_of(const std::vector<T>& records) {
    static_assert(IMAGE_LINE % sizeof(T) == 0);
    Lines lines((records.size() * sizeof(T) + IMAGE_LINE - 1) / IMAGE_LINE);
    if (!lines.empty()) std::memcpy(lines.data(), records.data(), records.size() * sizeof(T));
    return lines;
}

class ImageWriter {
public:
    // Appends a section. Returns its line; 0 for an empty section, which is how the image says that there is
    // none.
    u32 add(Lines section) {
        if (section.empty()) return 0;
        const u32 at = next_;
        next_ += static_cast<u32>(section.size());
        sections_.push_back(std::move(section));
        return at;
    }

    // The same of lines that lie elsewhere, until finish().
    u32 add_copy(std::span<const image_line> section) {
        const u32 at = add(Lines(1));
        next_ += static_cast<u32>(section.size()) - 1;
        elsewhere_.emplace(sections_.size() - 1, section);
        return at;
    }

    // The whole image behind its header, whose `lines` this fills in.
    Lines finish(image_header header) {
        header.lines = next_;
        Lines image;
        image.reserve(next_);
        image.resize(sizeof header / IMAGE_LINE);
        std::memcpy(image.data(), &header, sizeof header);
        for (size_t i = 0; i < sections_.size(); ++i) {
            const auto other = elsewhere_.find(i);
            const std::span<const image_line> section =
                other != elsewhere_.end() ? other->second : std::span<const image_line>(sections_[i]);
            image.insert(image.end(), section.begin(), section.end());
            sections_[i] = Lines();
        }
        return image;
    }

private:
    std::vector<Lines> sections_;
    std::map<size_t, std::span<const image_line>> elsewhere_;  // in place of the section of that number
    u32 next_ = sizeof(image_header) / IMAGE_LINE;
};

// Where the entries of a hash section go.
struct HashLayout {
    u32 bucket_mask = 0;
    u32 lines = 0;
    std::vector<u32> slots;  // by entry: line * per_line + position in the line
};

// Lays out entries with these hashes, `per_line` to a line, such that a probe from line (hash & bucket_mask)
// meets its entry within PROBE_LINES lines and before the first free place. Nothing when more entries share a
// hash than a probe sees.
std::optional<HashLayout> lay_out_hashes(const std::vector<u32>& hashes, u32 per_line);

}  // namespace sluice::compile
