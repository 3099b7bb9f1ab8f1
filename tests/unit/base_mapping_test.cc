// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/mapping.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "dataplane/base/fd.h"

namespace sluice {
namespace {

const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));

bool all_zero(const Mapping& mapping) {
    const auto* bytes = mapping.as<const std::uint8_t>();
    return std::all_of(bytes, bytes + mapping.size(), [](std::uint8_t byte) { return byte == 0; });
}

TEST(Mapping, AnonymousMemoryIsZeroedWritableAndRoundedUp) {
    auto mapping = Mapping::anonymous(page + 1, false);
    ASSERT_TRUE(mapping) << mapping.error().message;
    EXPECT_EQ(mapping->size(), 2 * page);
    EXPECT_EQ(mapping->pages(), PageKind::normal);
    EXPECT_TRUE(all_zero(*mapping));
    mapping->as<std::uint8_t>()[mapping->size() - 1] = 1;
    EXPECT_FALSE(all_zero(*mapping));
}

TEST(Mapping, HugeWishGivesAlignedMemoryWhateverTheMachineHas) {
    auto mapping = Mapping::anonymous(3 * page, true);
    ASSERT_TRUE(mapping) << mapping.error().message;
    ASSERT_NE(mapping->pages(), PageKind::normal) << "the kernel refuses MADV_HUGEPAGE";
    EXPECT_EQ(mapping->size(), Mapping::huge_page_size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(mapping->data()) % Mapping::huge_page_size, 0u);
    EXPECT_TRUE(all_zero(*mapping));
}

TEST(Mapping, FileMappingSharesBytesWithTheFile) {
    const UniqueFd file(memfd_create("mapping-test", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(file.get(), static_cast<off_t>(2 * page)), 0);
    auto mapping =
        Mapping::of_fd(file.get(), page, PROT_READ | PROT_WRITE, MAP_SHARED, static_cast<std::int64_t>(page));
    ASSERT_TRUE(mapping) << mapping.error().message;
    mapping->as<char>()[0] = 's';
    char read_back = 0;
    ASSERT_EQ(pread(file.get(), &read_back, 1, static_cast<off_t>(page)), 1);
    EXPECT_EQ(read_back, 's');
}

TEST(Mapping, MovingHandsTheMemoryOver) {
    auto made = Mapping::anonymous(page, false);
    ASSERT_TRUE(made);
    Mapping first = std::move(made).value();
    void* data = first.data();
    Mapping second = std::move(first);
    EXPECT_EQ(second.data(), data);
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): what is left behind is the point
    second.reset();
    EXPECT_FALSE(second);
    EXPECT_EQ(msync(data, page, MS_ASYNC), -1) << "still mapped";
    EXPECT_EQ(errno, ENOMEM);
}

TEST(Mapping, ErrorsSayWhatWasAsked) {
    const auto bad_fd = Mapping::of_fd(-1, 4096, PROT_READ, MAP_SHARED);
    ASSERT_FALSE(bad_fd);
    EXPECT_EQ(bad_fd.error().message, "mmap of 4096 bytes at offset 0 of fd -1: Bad file descriptor");
    EXPECT_EQ(bad_fd.error().code, EBADF);
    EXPECT_FALSE(Mapping::anonymous(0, true));
    EXPECT_FALSE(Mapping::anonymous(SIZE_MAX, true));
    const auto too_much = Mapping::anonymous(SIZE_MAX / 2, true);
    ASSERT_FALSE(too_much);
    EXPECT_EQ(too_much.error().code, ENOMEM);
}

}  // namespace
}  // namespace sluice
