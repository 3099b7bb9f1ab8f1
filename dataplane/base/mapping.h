// SPDX-License-Identifier: Apache-2.0
//
// Owned memory mappings: device and ring memory behind a descriptor, and large anonymous areas (packet
// buffers, flow tables) that should sit on huge pages where the machine has them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/result.h"

namespace sluice {

// What an anonymous mapping got. `transparent`: 2 MiB-aligned and advised, so the kernel may use huge pages.
enum class PageKind : std::uint8_t { normal, transparent, huge_2m };

const char* page_kind_name(PageKind kind);

class Mapping {
public:
    static constexpr std::size_t huge_page_size = std::size_t{2} << 20;

    Mapping() = default;
    ~Mapping() { reset(); }

    Mapping(Mapping&& other) noexcept { swap(other); }
    Mapping& operator=(Mapping&& other) noexcept {
        if (this != &other) {
            reset();
            swap(other);
        }
        return *this;
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    // mmap of `fd`: `length` bytes from `offset` (a multiple of the page size). `protection` and `flags` are
    // mmap's.
    static Result<Mapping> of_fd(int fd, std::size_t length, int protection, int flags,
                                 std::int64_t offset = 0);

    // At least `length` zeroed bytes, readable and writable, private to the process (shared over fork is not
    // wanted by anyone here). Takes reserved 2 MiB pages when `huge` is set and enough are free; else 2
    // MiB-aligned memory advised for transparent huge pages; else plain pages. Fails only when plain pages
    // cannot be had either.
    static Result<Mapping> anonymous(std::size_t length, bool huge);

    void* data() const { return data_; }
    template <typename T>
    T* as() const {
        return static_cast<T*>(data_);
    }

    // Bytes mapped: the length asked for, rounded up to the page size in use.
    std::size_t size() const { return size_; }
    PageKind pages() const { return pages_; }
    explicit operator bool() const { return data_ != nullptr; }

    void reset();

private:
    Mapping(void* data, std::size_t size, PageKind pages) : data_(data), size_(size), pages_(pages) {}
    void swap(Mapping& other) noexcept;

    static Result<Mapping> transparent_huge(std::size_t length);

    void* data_ = nullptr;
    std::size_t size_ = 0;
    PageKind pages_ = PageKind::normal;
};

}  // namespace sluice
