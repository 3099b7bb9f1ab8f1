// SPDX-License-Identifier: Apache-2.0
#include "dataplane/placement/memory_scope.h"

#include <numa.h>
#include <numaif.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "dataplane/placement/cpu_list.h"

namespace sluice {

namespace {

constexpr u32 most_nodes = 1024;  // MAX_NUMNODES of the kernels in use; CONFIG_NODES_SHIFT is 10 at most
constexpr u32 word_bits = sizeof(unsigned long) * CHAR_BIT;

}  // namespace

MemoryScope::MemoryScope(const std::vector<u32>& nodes) {
    if (nodes.empty()) return;
    before_.resize(most_nodes / word_bits);
    if (get_mempolicy(&mode_, before_.data(), most_nodes, nullptr, 0) != 0) {
        refusal_ = system_error(errno, "get_mempolicy").message;
        return;
    }
    std::vector<unsigned long> mask(most_nodes / word_bits);
    for (const u32 node : nodes) mask[node / word_bits % mask.size()] |= 1UL << (node % word_bits);
    const int mode = nodes.size() == 1 ? MPOL_PREFERRED : MPOL_INTERLEAVE;
    changed_ = set_mempolicy(mode, mask.data(), most_nodes) == 0;
    if (!changed_) refusal_ = system_error(errno, "set_mempolicy, nodes {}", cpu_list_text(nodes)).message;
}

MemoryScope::~MemoryScope() {
    if (!changed_) return;
    const bool plain = mode_ == MPOL_DEFAULT;
    set_mempolicy(mode_, plain ? nullptr : before_.data(), plain ? 0 : most_nodes);
}

std::vector<u64> pages_by_node(const void* area, u64 bytes, u32 samples) {
    const u64 page = static_cast<u64>(sysconf(_SC_PAGESIZE));
    const u64 step = std::max(page, bytes / std::max(1U, samples) / page * page);
    std::vector<void*> addresses;
    for (u64 at = 0; at < bytes; at += step)
        addresses.push_back(static_cast<u8*>(const_cast<void*>(area)) + at);
    std::vector<int> status(addresses.size(), -1);
    std::vector<u64> pages;
    if (addresses.empty() ||
        numa_move_pages(0, addresses.size(), addresses.data(), nullptr, status.data(), 0) != 0)
        return pages;
    for (const int node : status) {
        if (node < 0) continue;
        if (pages.size() <= static_cast<size_t>(node)) pages.resize(static_cast<size_t>(node) + 1);
        pages[static_cast<size_t>(node)]++;
    }
    return pages;
}

}  // namespace sluice
