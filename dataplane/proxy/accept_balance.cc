// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/accept_balance.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

namespace sluice::proxy {

namespace {

constexpr u32 nobody = 0xffff'ffff;  // past every group: the kernel goes by its hash

// CPUs from `first` on, up to the next run, are on `node`.
struct Run {
    u32 first;
    u32 node;
};

std::vector<Run> runs_of(const std::vector<Cpu>& cpus) {
    std::vector<Run> runs;
    for (const Cpu& cpu : cpus) {
        if (runs.empty() || runs.back().node != cpu.node) runs.push_back({cpu.id, cpu.node});
    }
    return runs;
}

sock_filter load(u32 what) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<u32>(SKF_AD_OFF) + what); }
sock_filter answer(u32 index) { return BPF_STMT(BPF_RET | BPF_K, index); }

// One of `loops` at random.
void append_draw(const std::vector<u32>& loops, std::vector<sock_filter>& out) {
    out.push_back(load(SKF_AD_RANDOM));
    out.push_back(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, static_cast<u32>(loops.size())));
    for (u32 i = 0; i < loops.size(); ++i) {
        out.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, i, 0, 1));
        out.push_back(answer(loops[i]));
    }
    out.push_back(answer(nobody));
}

}  // namespace

std::vector<sock_filter> balance_program(const std::vector<Cpu>& cpus, const std::vector<u32>& node_of_loop) {
    std::map<u32, std::vector<u32>> loops;  // by node
    for (u32 i = 0; i < node_of_loop.size(); ++i) loops[node_of_loop[i]].push_back(i);
    const std::vector<Run> runs = runs_of(cpus);
    // From the last run down: a comparison and a far jump each, whose aim is known once the blocks are there.
    std::vector<sock_filter> program = {load(SKF_AD_CPU)};
    std::vector<std::pair<size_t, u32>> jumps;  // position, node
    for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, run->first, 0, 1));
        jumps.emplace_back(program.size(), run->node);
        program.push_back(BPF_STMT(BPF_JMP | BPF_JA, 0));
    }
    std::map<u32, size_t> blocks;
    const size_t otherwise = program.size();
    program.push_back(answer(nobody));
    for (const auto& [node, members] : loops) {
        blocks[node] = program.size();
        append_draw(members, program);
    }
    for (const auto& [position, node] : jumps) {
        const auto block = blocks.find(node);
        const size_t aim = block != blocks.end() ? block->second : otherwise;
        program[position].k = static_cast<u32>(aim - position - 1);
    }
    return program;
}

std::vector<sock_filter> balance_program(const std::vector<int>& cpu_of_loop) {
    const Result<Topology> machine = read_topology();
    if (!machine) return {};
    std::vector<u32> nodes;
    for (const int id : cpu_of_loop) {
        const Cpu* const cpu = id < 0 ? nullptr : machine->cpu(static_cast<u32>(id));
        if (cpu == nullptr) return {};
        nodes.push_back(cpu->node);
    }
    if (std::set<u32>(nodes.begin(), nodes.end()).size() < 2) return {};
    return balance_program(machine->cpus, nodes);
}

Status balance_accepts(int fd, const std::vector<sock_filter>& program) {
    std::vector<sock_filter> copy = program;
    const sock_fprog given{static_cast<unsigned short>(copy.size()), copy.data()};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &given, sizeof given) != 0)
        return system_error(errno, "SO_ATTACH_REUSEPORT_CBPF");
    return {};
}

}  // namespace sluice::proxy
