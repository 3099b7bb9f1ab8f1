// SPDX-License-Identifier: Apache-2.0
#include "dataplane/placement/huge_pages.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "dataplane/placement/kernel_text.h"

namespace sluice {

namespace {

namespace fs = std::filesystem;

constexpr u64 mebibyte = u64{1} << 20;

std::optional<u64> number_in(std::string_view text) {
    u64 number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end != text.data() ? std::optional(number) : std::nullopt;
}

u64 number_of(const fs::path& path) { return number_in(kernel_text(path).value_or("")).value_or(0); }

// Pools of a directory such as /sys/devices/system/node/node0/hugepages.
void read_pools(const fs::path& directory, u32 node, std::vector<HugePagePool>& pools) {
    constexpr std::string_view prefix = "hugepages-";
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(directory, missing)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with(prefix)) continue;
        const auto kilobytes = number_in(std::string_view(name).substr(prefix.size()));
        if (!kilobytes) continue;
        pools.push_back({*kilobytes * 1024, node, number_of(entry.path() / "nr_hugepages"),
                         number_of(entry.path() / "free_hugepages")});
    }
}

u64 size_with_unit(const std::string& text) {
    const u64 number = number_in(text).value_or(0);
    switch (text.empty() ? ' ' : text.back()) {
        case 'K':
        case 'k': return number << 10;
        case 'M':
        case 'm': return number << 20;
        case 'G':
        case 'g': return number << 30;
        default: return number;
    }
}

u64 default_page_bytes(const KernelFiles& files) {
    std::ifstream file(files.procfs / "meminfo");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("Hugepagesize:"))
            return number_in(line.substr(line.find_first_of("0123456789"))).value_or(0) << 10;
    }
    return 2 * mebibyte;
}

u64 free_bytes(const std::vector<HugePagePool>& pools, u32 node) {
    u64 bytes = 0;
    for (const HugePagePool& pool : pools) {
        if (pool.node == node) bytes += pool.free * pool.page_bytes;
    }
    return bytes;
}

}  // namespace

std::string page_size_text(u64 bytes) {
    if (bytes >= u64{1} << 30) return fmt::format("{}G", bytes >> 30);
    return bytes >= mebibyte ? fmt::format("{}M", bytes >> 20) : fmt::format("{}K", bytes >> 10);
}

std::vector<HugePagePool> read_huge_pages(const KernelFiles& files) {
    std::vector<HugePagePool> pools;
    std::error_code missing;
    constexpr std::string_view prefix = "node";
    for (const auto& entry : fs::directory_iterator(files.sysfs / "devices/system/node", missing)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with(prefix)) continue;
        if (const auto node = number_in(std::string_view(name).substr(prefix.size())))
            read_pools(entry.path() / "hugepages", static_cast<u32>(*node), pools);
    }
    if (pools.empty()) read_pools(files.sysfs / "kernel/mm/hugepages", 0, pools);
    std::sort(pools.begin(), pools.end(), [](const HugePagePool& a, const HugePagePool& b) {
        return std::pair(a.page_bytes, a.node) < std::pair(b.page_bytes, b.node);
    });
    return pools;
}

std::vector<HugePageMount> read_huge_page_mounts(const KernelFiles& files) {
    std::vector<HugePageMount> mounts;
    std::ifstream file(files.procfs / "self/mounts");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string source, path, type, options;
        if (!(words >> source >> path >> type >> options) || type != "hugetlbfs") continue;
        const size_t at = options.find("pagesize=");
        const std::string size =
            at == std::string::npos ? "" : options.substr(at + 9, options.find(',', at) - at - 9);
        mounts.push_back({path, size.empty() ? default_page_bytes(files) : size_with_unit(size)});
    }
    return mounts;
}

std::vector<std::string> huge_page_shortfalls(const std::vector<HugePagePool>& pools,
                                              const std::vector<HugePageNeed>& needs) {
    std::vector<std::string> lines;
    u64 all_free = 0;
    u64 all_needed = 0;
    for (const HugePagePool& pool : pools) all_free += pool.free * pool.page_bytes;
    for (const HugePageNeed& need : needs) all_needed += need.bytes;
    if (all_needed == 0) return lines;
    if (all_free == 0) {
        lines.push_back(
            fmt::format("no huge pages are free ({} MiB would be used): packet buffers lie on small pages",
                        (all_needed + mebibyte - 1) / mebibyte));
        return lines;
    }
    for (const HugePageNeed& need : needs) {
        const u64 here = free_bytes(pools, need.node);
        if (here >= need.bytes) continue;
        const u64 missing = need.bytes - here;
        const u64 elsewhere = all_free - here;
        lines.push_back(
            fmt::format("node {}: {} MiB of free huge pages for {} MiB of packet buffers{}: "
                        "scripts/setup-hugepages.sh --node {} --pages +{}",
                        need.node, here / mebibyte, need.bytes / mebibyte,
                        elsewhere == 0 ? "" : fmt::format(" ({} MiB on other nodes)", elsewhere / mebibyte),
                        need.node, (missing + 2 * mebibyte - 1) / (2 * mebibyte)));
    }
    return lines;
}

}  // namespace sluice
