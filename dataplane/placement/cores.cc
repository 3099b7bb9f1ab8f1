// SPDX-License-Identifier: Apache-2.0
#include "dataplane/placement/cores.h"

#include <algorithm>

#include "dataplane/placement/cpu_list.h"

namespace sluice {

namespace {

std::string ids(const std::vector<Cpu>& cpus) {
    std::vector<u32> numbers;
    for (const Cpu& cpu : cpus) numbers.push_back(cpu.id);
    std::sort(numbers.begin(), numbers.end());
    return cpu_list_text(numbers);
}

std::vector<Cpu> configured(const Topology& topology, const std::vector<u32>& cores,
                            std::vector<std::string>& notes) {
    std::vector<Cpu> usable;
    for (const u32 id : cores) {
        const Cpu* const cpu = topology.cpu(id);
        if (cpu != nullptr && cpu->allowed) {
            usable.push_back(*cpu);
            continue;
        }
        const bool offline = std::binary_search(topology.offline.begin(), topology.offline.end(), id);
        notes.push_back(fmt::format("workers.cores: core {}: {}: left out", id,
                                    cpu != nullptr ? "this process may not use it (cpuset or affinity)"
                                    : offline      ? "it is offline"
                                                   : "there is no such core"));
    }
    for (const Cpu& cpu : usable) {
        if (std::any_of(usable.begin(), usable.end(),
                        [&](const Cpu& other) { return other.core == cpu.core && other.id < cpu.id; }))
            notes.push_back(fmt::format(
                "workers.cores: core {}: shares its execution units with another of the list", cpu.id));
    }
    return usable;
}

// The first CPU of each core.
std::vector<Cpu> one_of_each_core(const std::vector<Cpu>& cpus, std::vector<std::string>& notes) {
    std::vector<Cpu> firsts;
    std::vector<Cpu> siblings;
    for (const Cpu& cpu : cpus) {
        const bool taken = std::any_of(firsts.begin(), firsts.end(),
                                       [&](const Cpu& other) { return other.core == cpu.core; });
        (taken ? siblings : firsts).push_back(cpu);
    }
    if (!siblings.empty())
        notes.push_back(fmt::format("cores {}: left out: SMT siblings of others", ids(siblings)));
    return firsts;
}

// Isolated ones, and on nodes that have ports but none of them, all.
std::vector<Cpu> prefer_isolated(const std::vector<Cpu>& cpus, const std::set<u32>& wanted_nodes,
                                 std::vector<std::string>& notes) {
    std::set<u32> covered;
    for (const Cpu& cpu : cpus) {
        if (cpu.isolated) covered.insert(cpu.node);
    }
    std::vector<Cpu> chosen;
    std::vector<Cpu> others;
    for (const Cpu& cpu : cpus) {
        const bool no_better = wanted_nodes.contains(cpu.node) && !covered.contains(cpu.node);
        (cpu.isolated || no_better ? chosen : others).push_back(cpu);
    }
    if (!others.empty())
        notes.push_back(fmt::format("cores {}: left to the system: others are isolated", ids(others)));
    return chosen;
}

// Without the lowest core, or where that is the only one of a node with ports, the lowest that is not.
std::vector<Cpu> without_the_systems(std::vector<Cpu> cpus, const std::set<u32>& wanted_nodes,
                                     std::vector<std::string>& notes) {
    const auto spare = std::find_if(cpus.begin(), cpus.end(), [&](const Cpu& cpu) {
        const auto on_its_node =
            std::count_if(cpus.begin(), cpus.end(), [&](const Cpu& other) { return other.node == cpu.node; });
        return on_its_node > 1 || !wanted_nodes.contains(cpu.node);
    });
    if (cpus.size() < 2 || spare == cpus.end()) {
        if (!cpus.empty())
            notes.push_back("no core is left to the system: each node with ports has one only");
        return cpus;
    }
    notes.push_back(fmt::format("core {}: left to the system", spare->id));
    cpus.erase(spare);
    return cpus;
}

}  // namespace

std::vector<Cpu> worker_cores(const Topology& topology, const PlacementRequest& request,
                              const std::set<u32>& wanted_nodes, std::vector<std::string>& notes) {
    if (request.cores) return configured(topology, *request.cores, notes);
    std::vector<Cpu> allowed;
    std::vector<Cpu> barred;
    for (const Cpu& cpu : topology.cpus) (cpu.allowed ? allowed : barred).push_back(cpu);
    if (!barred.empty())
        notes.push_back(fmt::format("cores {}: left out: this process may not use them (cpuset or affinity)",
                                    ids(barred)));
    if (!topology.offline.empty())
        notes.push_back(fmt::format("cores {}: offline", cpu_list_text(topology.offline)));
    std::vector<Cpu> cores = one_of_each_core(allowed, notes);
    if (std::any_of(cores.begin(), cores.end(), [](const Cpu& cpu) { return cpu.isolated; }))
        return prefer_isolated(cores, wanted_nodes, notes);
    if (cores.size() == 1 && allowed.size() > 1) {  // SMT alone: the sibling is better than sharing
        notes.push_back(fmt::format("core {}: left to the system", allowed.front().id));
        return {allowed[1]};
    }
    return without_the_systems(std::move(cores), wanted_nodes, notes);
}

}  // namespace sluice
