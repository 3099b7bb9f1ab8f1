// SPDX-License-Identifier: Apache-2.0
#include "dataplane/placement/topology.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "dataplane/placement/cpu_list.h"
#include "dataplane/placement/kernel_text.h"

namespace sluice {

namespace {

namespace fs = std::filesystem;

constexpr u32 local_distance = 10;
constexpr u32 unknown_distance = 20;

bool contains(const std::vector<u32>& sorted, u32 value) {
    return std::binary_search(sorted.begin(), sorted.end(), value);
}

// The set in a file; `fallback` when there is no such file.
Result<std::vector<u32>> read_list(const fs::path& path, std::vector<u32> fallback) {
    const auto text = kernel_text(path);
    if (!text) return fallback;
    return parse_cpu_list(*text).with_context(path.string());
}

// The value of a line "Key:\tvalue" of /proc/self/status.
std::optional<std::string> status_line(const KernelFiles& files, std::string_view key) {
    std::ifstream file(files.procfs / "self/status");
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ':') continue;
        const size_t at = line.find_first_not_of(" \t", key.size() + 1);
        return at == std::string::npos ? "" : line.substr(at);
    }
    return std::nullopt;
}

// CPUs of this process's cpuset, by version 2 of cgroups or by 1; empty optional: no cpuset limits it.
std::optional<std::vector<u32>> cpuset_cpus(const KernelFiles& files) {
    std::ifstream file(files.procfs / "self/cgroup");
    for (std::string line; std::getline(file, line);) {
        const size_t first = line.find(':');
        const size_t second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string group = line.substr(std::min(second + 2, line.size()));  // without its leading /
        const fs::path cgroups = files.sysfs / "fs/cgroup";
        std::vector<fs::path> places;
        if (controllers.empty()) places = {cgroups / group / "cpuset.cpus.effective"};
        if (controllers == "cpuset")
            places = {cgroups / "cpuset" / group / "cpuset.effective_cpus",
                      cgroups / "cpuset" / group / "cpuset.cpus"};
        for (const fs::path& place : places) {
            const auto text = kernel_text(place);
            if (!text || text->empty()) continue;
            if (auto cpus = parse_cpu_list(*text)) return std::move(*cpus);
        }
    }
    return std::nullopt;
}

struct CpuSets {
    std::vector<u32> online;
    std::vector<u32> isolated;
    std::vector<u32> allowed;
};

Result<CpuSets> read_cpu_sets(const KernelFiles& files) {
    const fs::path directory = files.sysfs / "devices/system/cpu";
    const auto online = kernel_text(directory / "online");
    if (!online) return make_error("{}: cannot be read", (directory / "online").string());
    CpuSets sets;
    auto parsed = parse_cpu_list(*online).with_context((directory / "online").string());
    if (!parsed) return parsed.error();
    sets.online = std::move(*parsed);
    if (sets.online.empty())
        return make_error("{}: expected one CPU at least", (directory / "online").string());
    auto isolated = read_list(directory / "isolated", {});
    if (!isolated) return isolated.error();
    sets.isolated = std::move(*isolated);
    const auto affinity = status_line(files, "Cpus_allowed_list");
    sets.allowed = sets.online;
    if (affinity) {
        auto cpus = parse_cpu_list(*affinity).with_context((files.procfs / "self/status").string());
        if (!cpus) return cpus.error();
        sets.allowed = std::move(*cpus);
    }
    return sets;
}

// Adds isolated CPUs of the cpuset to what the process starts with, unless its affinity was narrowed.
void allow_isolated(CpuSets& sets, const std::vector<u32>& cpuset) {
    std::vector<u32> isolated;
    for (const u32 cpu : cpuset) {
        if (!contains(sets.online, cpu)) continue;
        if (contains(sets.isolated, cpu)) {
            isolated.push_back(cpu);
        } else if (!contains(sets.allowed, cpu)) {
            return;
        }
    }
    sets.allowed.insert(sets.allowed.end(), isolated.begin(), isolated.end());
    std::sort(sets.allowed.begin(), sets.allowed.end());
}

u32 core_of(const fs::path& cpus, u32 cpu) {
    for (const char* name : {"core_cpus_list", "thread_siblings_list"}) {
        const auto text = kernel_text(cpus / fmt::format("cpu{}", cpu) / "topology" / name);
        if (!text) continue;
        const auto siblings = parse_cpu_list(*text);
        if (siblings && !siblings->empty()) return siblings->front();
    }
    return cpu;
}

std::vector<u32> read_distances(const fs::path& node) {
    std::vector<u32> distances;
    std::istringstream text(kernel_text(node / "distance").value_or(""));
    for (u32 distance = 0; text >> distance;) distances.push_back(distance);
    return distances;
}

Status read_nodes(const KernelFiles& files, Topology& topology,
                  std::vector<std::pair<u32, u32>>& node_of_cpu) {
    const fs::path directory = files.sysfs / "devices/system/node";
    const auto online = read_list(directory / "online", {});
    if (!online) return online.error();
    if (online->empty()) {
        topology.nodes.push_back({0, true, {local_distance}});
        return {};
    }
    const auto with_memory = read_list(directory / "has_memory", *online);
    if (!with_memory) return with_memory.error();
    const auto mems =
        parse_cpu_list(status_line(files, "Mems_allowed_list").value_or(cpu_list_text(*online)));
    for (const u32 id : *online) {
        const fs::path node = directory / fmt::format("node{}", id);
        const bool memory = contains(*with_memory, id) && (!mems || contains(*mems, id));
        topology.nodes.push_back({id, memory, read_distances(node)});
        const auto cpus = read_list(node / "cpulist", {});
        if (!cpus) return cpus.error();
        for (const u32 cpu : *cpus) node_of_cpu.emplace_back(cpu, id);
    }
    return {};
}

}  // namespace

const Cpu* Topology::cpu(u32 id) const {
    const auto at = std::find_if(cpus.begin(), cpus.end(), [&](const Cpu& each) { return each.id == id; });
    return at == cpus.end() ? nullptr : &*at;
}

const MemoryNode* Topology::node(u32 id) const {
    const auto at =
        std::find_if(nodes.begin(), nodes.end(), [&](const MemoryNode& each) { return each.id == id; });
    return at == nodes.end() ? nullptr : &*at;
}

u32 Topology::distance(u32 from, u32 to) const {
    if (from == to) return local_distance;
    const MemoryNode* const start = node(from);
    for (size_t i = 0; start != nullptr && i < std::min(nodes.size(), start->distances.size()); ++i) {
        if (nodes[i].id == to) return start->distances[i];
    }
    return unknown_distance;
}

Result<Topology> read_topology(const KernelFiles& files) {
    Result<CpuSets> sets = read_cpu_sets(files);
    if (!sets) return sets.error();
    allow_isolated(*sets, cpuset_cpus(files).value_or(sets->online));
    Topology topology;
    std::vector<std::pair<u32, u32>> node_of_cpu;
    if (Status status = read_nodes(files, topology, node_of_cpu); !status) return status.error();
    const fs::path directory = files.sysfs / "devices/system/cpu";
    for (const u32 id : sets->online) {
        Cpu cpu{id, topology.nodes.front().id, core_of(directory, id), contains(sets->isolated, id),
                contains(sets->allowed, id)};
        for (const auto& [member, node] : node_of_cpu) {
            if (member == id) cpu.node = node;
        }
        topology.cpus.push_back(cpu);
    }
    const auto present = read_list(directory / "present", sets->online);
    if (!present) return present.error();
    std::set_difference(present->begin(), present->end(), sets->online.begin(), sets->online.end(),
                        std::back_inserter(topology.offline));
    return topology;
}

std::optional<u32> pci_node(const std::string& address, const KernelFiles& files) {
    if (address.empty() || address.find('/') != std::string::npos) return std::nullopt;
    const auto text = kernel_text(files.sysfs / "bus/pci/devices" / address / "numa_node");
    u32 node = 0;
    if (!text) return std::nullopt;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), node);  // -1: none
    return error == std::errc{} && end == text->data() + text->size() ? std::optional(node) : std::nullopt;
}

}  // namespace sluice
