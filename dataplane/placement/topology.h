// SPDX-License-Identifier: Apache-2.0
//
// Which cores and memory nodes this machine has, how far they are from one another, and which of them this
// process may use. Read once from /sys and /proc; placement is decided over this (planner.h), so that it can
// be tested without the machine.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice {

// Where the kernel's files are; tests give trees of their own.
struct KernelFiles {
    std::filesystem::path sysfs = "/sys";
    std::filesystem::path procfs = "/proc";
};

// A CPU as the scheduler has it.
struct Cpu {
    u32 id = 0;
    u32 node = 0;
    u32 core = 0;           // the lowest CPU among its SMT siblings, itself included
    bool isolated = false;  // kept free by isolcpus=, or by a cpuset partition
    bool allowed = true;    // this process may run on it
};

struct MemoryNode {
    u32 id = 0;
    bool memory = true;          // has some, and this process may use it
    std::vector<u32> distances;  // to the nodes in their order here; 10 is local (ACPI SLIT)
};

struct Topology {
    std::vector<MemoryNode> nodes;  // ascending by id, which may have gaps; one at least
    std::vector<Cpu> cpus;          // online ones, ascending
    std::vector<u32> offline;       // present, and switched off

    const Cpu* cpu(u32 id) const;  // null: there is none, or it is offline
    const MemoryNode* node(u32 id) const;
    // 10 within a node; 20 where firmware does not tell.
    u32 distance(u32 from, u32 to) const;
};

// The error names the file and what is wrong with it. A machine without NUMA has one node, 0, with
// everything.
//
// Allowed are the CPUs of this process's affinity, those of isolcpus= as well if its cpuset has them: the
// kernel leaves these out of what processes start with, yet they are meant for such as this. An affinity that
// somebody has narrowed further (taskset) is taken at its word.
Result<Topology> read_topology(const KernelFiles& files = {});

// Node of a PCI device, by its address ("0000:3b:00.0"). Empty: no such device, or it lies on none.
std::optional<u32> pci_node(const std::string& address, const KernelFiles& files = {});

}  // namespace sluice
