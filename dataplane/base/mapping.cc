// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace sluice {

namespace {

constexpr int read_write = PROT_READ | PROT_WRITE;
constexpr int private_memory = MAP_PRIVATE | MAP_ANONYMOUS;

std::size_t round_up(std::size_t value, std::size_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

const char* page_kind_name(PageKind kind) {
    switch (kind) {
        case PageKind::normal: return "normal";
        case PageKind::transparent: return "transparent";
        case PageKind::huge_2m: return "huge_2m";
    }
    return "unknown";
}

Result<Mapping> Mapping::of_fd(int fd, std::size_t length, int protection, int flags, std::int64_t offset) {
    void* data = mmap(nullptr, length, protection, flags, fd, offset);
    if (data == MAP_FAILED)
        return system_error(errno, "mmap of {} bytes at offset {} of fd {}", length, offset, fd);
    return Mapping(data, length, PageKind::normal);
}

Result<Mapping> Mapping::anonymous(std::size_t length, bool huge) {
    // The upper bound keeps the rounding below from wrapping around.
    if (length == 0 || length > SIZE_MAX / 2)
        return make_error("mmap of {} bytes: expected 1 to 2^63", length);
    if (huge) {
        const std::size_t whole = round_up(length, huge_page_size);
        constexpr int huge_2m = 21 << MAP_HUGE_SHIFT;
        void* data = mmap(nullptr, whole, read_write, private_memory | MAP_HUGETLB | huge_2m, -1, 0);
        if (data != MAP_FAILED) return Mapping(data, whole, PageKind::huge_2m);
        Result<Mapping> transparent = transparent_huge(whole);
        if (transparent) return transparent;
    }
    const std::size_t whole = round_up(length, static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
    void* data = mmap(nullptr, whole, read_write, private_memory, -1, 0);
    if (data == MAP_FAILED) return system_error(errno, "mmap of {} bytes of memory", whole);
    return Mapping(data, whole, PageKind::normal);
}

// Maps one huge page too many and gives back what sticks out on either side of the aligned part.
Result<Mapping> Mapping::transparent_huge(std::size_t length) {
    const std::size_t padded = length + huge_page_size;
    void* data = mmap(nullptr, padded, read_write, private_memory, -1, 0);
    if (data == MAP_FAILED) return system_error(errno, "mmap of {} bytes of memory", padded);

    auto* start = static_cast<std::byte*>(data);
    const std::size_t misaligned = reinterpret_cast<std::uintptr_t>(data) % huge_page_size;
    const std::size_t before = misaligned == 0 ? 0 : huge_page_size - misaligned;
    const std::size_t after = padded - before - length;
    if (before != 0) munmap(start, before);
    if (after != 0) munmap(start + before + length, after);

    Mapping mapping(start + before, length, PageKind::transparent);
    if (madvise(mapping.data_, length, MADV_HUGEPAGE) != 0) mapping.pages_ = PageKind::normal;
    return mapping;
}

void Mapping::reset() {
    if (data_ != nullptr) munmap(data_, size_);
    data_ = nullptr;
    size_ = 0;
    pages_ = PageKind::normal;
}

void Mapping::swap(Mapping& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(pages_, other.pages_);
}

}  // namespace sluice
