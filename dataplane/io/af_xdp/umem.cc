// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/af_xdp/umem.h"

#include <bit>

namespace sluice {

Umem::Umem(Mapping area, u32 frames, u32 frame_size)
    : area_(std::move(area)), frames_(frames), frame_size_(frame_size), free_(frames) {
    for (u32 i = 0; i < frames; ++i) free_[i] = u64{frames - 1 - i} * frame_size;
    free_count_.set(frames);
}

Result<std::unique_ptr<Umem>> Umem::create(const UmemOptions& options) {
    if (!std::has_single_bit(options.frame_size) || options.frame_size < 2048 || options.frame_size > 16384)
        return make_error("UMEM: frame size {}: expected a power of two, 2048 to 16384", options.frame_size);
    const u64 bytes = u64{options.frames} * options.frame_size;
    if (options.frames == 0 || bytes > u64{1} << 32)
        return make_error("UMEM: {} frames of {} bytes: expected 1 byte to 4 GiB in all", options.frames,
                          options.frame_size);
    auto area = Mapping::anonymous(bytes, options.huge_pages);
    if (!area) return area.error().with_context(fmt::format("UMEM of {} frames", options.frames));
    return std::unique_ptr<Umem>(new Umem(*std::move(area), options.frames, options.frame_size));
}

}  // namespace sluice
