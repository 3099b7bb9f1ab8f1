// SPDX-License-Identifier: Apache-2.0
//
// The machine's reserved huge pages, by size and node, and what a need of memory finds in them.
#pragma once

#include <string>
#include <vector>

#include "dataplane/placement/topology.h"

namespace sluice {

struct HugePagePool {
    u64 page_bytes = 0;
    u32 node = 0;
    u64 total = 0;  // pages
    u64 free = 0;
};

// By size, then node. Machines without NUMA report node 0. Empty: the kernel has no huge pages.
std::vector<HugePagePool> read_huge_pages(const KernelFiles& files = {});

// Mount points of hugetlbfs and the size of their pages ("pagesize=" option, else the default size).
struct HugePageMount {
    std::string path;
    u64 page_bytes = 0;
};
std::vector<HugePageMount> read_huge_page_mounts(const KernelFiles& files = {});

struct HugePageNeed {
    u32 node = 0;
    u64 bytes = 0;
};

// One line for each node whose need the free pages do not cover: what is there, what is missing, where else
// there is some, and the command that sets it right. Empty: all is covered. A machine that has none is one
// line.
std::vector<std::string> huge_page_shortfalls(const std::vector<HugePagePool>& pools,
                                              const std::vector<HugePageNeed>& needs);

// "2M", "1G", "64K"
std::string page_size_text(u64 bytes);

}  // namespace sluice
