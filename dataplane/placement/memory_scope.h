// SPDX-License-Identifier: Apache-2.0
//
// Where memory comes from while something is being built: the calling thread's NUMA policy, and what it led
// to.
#pragma once

#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice {

// While it lives, memory that the calling thread touches for the first time, and what the kernel allocates on
// its behalf (rings, maps), is taken from the nodes: preferred where it is one, so that a full node is no
// failure, interleaved where they are several. No nodes: nothing changes. Afterwards the policy is as before.
class MemoryScope {
public:
    explicit MemoryScope(const std::vector<u32>& nodes);
    ~MemoryScope();
    MemoryScope(const MemoryScope&) = delete;
    MemoryScope& operator=(const MemoryScope&) = delete;

    // Why it has no effect; empty: it has, or was not asked to.
    const std::string& refusal() const { return refusal_; }

private:
    bool changed_ = false;
    int mode_ = 0;
    std::vector<unsigned long> before_;
    std::string refusal_;
};

// The share of an area's pages on each node, by node id: pages[node]. Pages never touched count nowhere.
// Looks at `samples` of them at most, evenly spread. Empty where the kernel does not tell.
std::vector<u64> pages_by_node(const void* area, u64 bytes, u32 samples = 1024);

}  // namespace sluice
