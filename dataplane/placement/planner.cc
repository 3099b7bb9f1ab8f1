// SPDX-License-Identifier: Apache-2.0
#include "dataplane/placement/planner.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "dataplane/placement/cores.h"
#include "dataplane/placement/cpu_list.h"

namespace sluice {

namespace {

// The state of one planning. Steps in the order of plan().
class Planner {
public:
    Planner(const Topology& topology, const PlacementRequest& request)
        : topology_(topology), request_(request) {}

    PlacementPlan plan();

private:
    void decide_numa();
    std::set<u32> nodes_with_ports() const;
    void leave_taken();
    void aim();
    u32 worker_limit();
    void choose_workers(u32 count);
    void bind_memory();
    void deal_queues();
    void deal(u32 port, u32 queue, const std::vector<u32>& among);
    std::vector<u32> workers_near(u32 node) const;
    void explain();
    void explain_port(u32 port);

    std::optional<u32> node_of(const PlacedPort& port) const { return plan_.numa ? port.node : std::nullopt; }
    // The node of `nodes` nearest to `node`.
    template <typename Nodes>
    std::optional<u32> nearest(u32 node, const Nodes& nodes) const;

    const Topology& topology_;
    const PlacementRequest& request_;
    PlacementPlan plan_;
    std::vector<Cpu> cores_;
    std::vector<std::optional<u32>> target_;  // by port: the node its workers are to be on
};

template <typename Nodes>
std::optional<u32> Planner::nearest(u32 node, const Nodes& nodes) const {
    std::optional<u32> best;
    for (const u32 each : nodes) {
        if (!best || topology_.distance(node, each) < topology_.distance(node, *best)) best = each;
    }
    return best;
}

void Planner::decide_numa() {
    const std::string decision =
        request_.numa_decision.empty() ? "" : fmt::format(", {}", request_.numa_decision);
    if (request_.numa == NumaWish::off) {
        plan_.numa_reason = fmt::format("switched off{}", decision);
    } else if (topology_.nodes.size() < 2) {
        plan_.numa_reason =
            fmt::format("the machine has one node: all memory is as near to every core{}", decision);
    } else {
        plan_.numa = true;
        plan_.numa_reason = fmt::format("the machine has {} nodes{}", topology_.nodes.size(), decision);
    }
}

std::set<u32> Planner::nodes_with_ports() const {
    std::set<u32> nodes;
    for (const PlacedPort& port : request_.ports) {
        if (const auto node = node_of(port)) nodes.insert(*node);
    }
    return nodes;
}

// Cores of another tier's workers are left to them, unless a node with ports would have none then.
void Planner::leave_taken() {
    const auto is_taken = [&](const Cpu& cpu) {
        return std::find(request_.taken.begin(), request_.taken.end(), cpu.id) != request_.taken.end();
    };
    const std::set<u32> wanted = nodes_with_ports();
    std::vector<Cpu> kept;
    std::vector<u32> shared;
    for (const Cpu& cpu : cores_) {
        const bool others = std::any_of(cores_.begin(), cores_.end(), [&](const Cpu& other) {
            return !is_taken(other) && (other.node == cpu.node || !wanted.contains(cpu.node));
        });
        if (is_taken(cpu) && others) continue;
        if (is_taken(cpu)) shared.push_back(cpu.id);
        kept.push_back(cpu);
    }
    if (!shared.empty())
        plan_.notes.push_back(
            fmt::format("cores {}: shared with workers of another tier", cpu_list_text(shared)));
    cores_ = std::move(kept);
}

// A port's workers are on its node, or on the nearest that has cores.
void Planner::aim() {
    std::set<u32> nodes;
    for (const Cpu& cpu : cores_) nodes.insert(cpu.node);
    for (const PlacedPort& port : request_.ports) {
        const auto own = node_of(port);
        target_.push_back(own ? nearest(*own, nodes) : std::nullopt);
        if (own && !nodes.contains(*own))
            plan_.notes.push_back(fmt::format("{}: node {} has no core for a worker", port.name, *own));
    }
}

u32 Planner::worker_limit() {
    if (request_.ports.empty()) return 1;
    u32 all = 0;
    const PlacedPort* least = &request_.ports.front();
    const PlacedPort* most = least;
    for (const PlacedPort& port : request_.ports) {
        all += port.queues;
        if (port.queues < least->queues) least = &port;
        if (port.queues > most->queues) most = &port;
    }
    if (!request_.every_worker_on_every_port) return std::max(1U, all);
    if (least->queues < most->queues && cores_.size() > least->queues)
        plan_.notes.push_back(
            fmt::format("{}: {} of {} queues: that limits the workers to {}, since each sends "
                        "by a queue of its own on every port",
                        least->name, least->queues, most->queues, std::max(1U, least->queues)));
    return std::max(1U, least->queues);
}

// Cores by need: each goes to the node with the most queues per worker so far, ports without a node counting
// where most others are. Where no node needs one, or has any left, the lowest core is as good as another.
void Planner::choose_workers(u32 count) {
    std::map<u32, u32> demand;
    u32 anywhere = 0;
    for (size_t i = 0; i < request_.ports.size(); ++i)
        (target_[i] ? demand[*target_[i]] : anywhere) += request_.ports[i].queues;
    if (!demand.empty()) {
        auto most = demand.begin();
        for (auto at = demand.begin(); at != demand.end(); ++at) {
            if (at->second > most->second) most = at;
        }
        most->second += anywhere;
    } else if (plan_.numa && !cores_.empty()) {  // together, on the node with the most cores
        std::map<u32, u32> cores;
        for (const Cpu& cpu : cores_) cores[cpu.node]++;
        const auto most = std::max_element(cores.begin(), cores.end(),
                                           [](const auto& a, const auto& b) { return a.second < b.second; });
        demand[most->first] = anywhere;
    }
    std::vector<Cpu> left = cores_;
    std::vector<Cpu> taken;
    std::map<u32, u32> given;
    while (taken.size() < count) {
        const auto need = [&](u32 node) {
            return demand.contains(node) ? static_cast<double>(demand[node]) / (given[node] + 1) : 0.0;
        };
        auto best = left.begin();
        for (auto at = left.begin(); at != left.end(); ++at) {
            if (need(at->node) > need(best->node)) best = at;
        }
        given[best->node]++;
        taken.push_back(*best);
        left.erase(best);
    }
    std::sort(taken.begin(), taken.end(), [](const Cpu& a, const Cpu& b) { return a.id < b.id; });
    for (const Cpu& cpu : taken) {
        WorkerPlacement worker;
        worker.core = cpu.id;
        worker.node = cpu.node;
        plan_.workers.push_back(std::move(worker));
    }
}

void Planner::bind_memory() {
    if (!plan_.numa) return;
    std::vector<u32> with_memory;
    for (const MemoryNode& node : topology_.nodes) {
        if (node.memory) with_memory.push_back(node.id);
    }
    std::set<u32> used;
    std::set<u32> told;
    for (WorkerPlacement& worker : plan_.workers) {
        worker.memory_node = nearest(worker.node, with_memory);
        if (!worker.memory_node) continue;
        used.insert(*worker.memory_node);
        if (*worker.memory_node != worker.node && told.insert(worker.node).second)
            plan_.notes.push_back(fmt::format(
                "node {}: has no memory for this process: node {}'s is used, distance {} "
                "(10 is local)",
                worker.node, *worker.memory_node, topology_.distance(worker.node, *worker.memory_node)));
    }
    plan_.table_nodes.assign(used.begin(), used.end());
}

// Workers on the node; where there is none, those on the nearest node that has some.
std::vector<u32> Planner::workers_near(u32 node) const {
    std::set<u32> nodes;
    for (const WorkerPlacement& worker : plan_.workers) nodes.insert(worker.node);
    const u32 best = nearest(node, nodes).value_or(node);
    std::vector<u32> workers;
    for (u32 i = 0; i < plan_.workers.size(); ++i) {
        if (plan_.workers[i].node == best) workers.push_back(i);
    }
    return workers;
}

// To the one with the fewest queues of this port, then of all.
void Planner::deal(u32 port, u32 queue, const std::vector<u32>& among) {
    const auto load = [&](u32 worker) {
        const auto& queues = plan_.workers[worker].queues;
        const auto own = std::count_if(queues.begin(), queues.end(),
                                       [&](const QueueOfPort& each) { return each.port == port; });
        return std::pair(own, queues.size());
    };
    const u32 worker =
        *std::min_element(among.begin(), among.end(), [&](u32 a, u32 b) { return load(a) < load(b); });
    plan_.workers[worker].queues.push_back({port, queue});
}

// Workers that need a queue on every port get one each, the same of all ports; what is left stays near.
void Planner::deal_queues() {
    const auto count = static_cast<u32>(plan_.workers.size());
    std::vector<u32> all;
    for (u32 i = 0; i < count; ++i) all.push_back(i);
    for (u32 port = 0; port < request_.ports.size(); ++port) {
        const auto node = node_of(request_.ports[port]);
        const std::vector<u32> near = node ? workers_near(*node) : all;
        for (u32 queue = 0; queue < request_.ports[port].queues; ++queue) {
            if (!request_.every_worker_on_every_port) {
                deal(port, queue, near);
            } else {
                const u32 worker = queue < count ? queue : near[(queue - count) % near.size()];
                plan_.workers[worker].queues.push_back({port, queue});
            }
        }
    }
}

// Says which queues of a port are served from another node, and how far that is.
void Planner::explain_port(u32 port) {
    const auto own = node_of(request_.ports[port]);
    if (!own) return;
    std::map<u32, std::vector<u32>> afar;  // queues by node
    for (const WorkerPlacement& worker : plan_.workers) {
        for (const QueueOfPort& each : worker.queues) {
            if (each.port == port && worker.node != *own) afar[worker.node].push_back(each.queue);
        }
    }
    for (auto& [node, queues] : afar) {
        std::sort(queues.begin(), queues.end());
        plan_.notes.push_back(
            fmt::format("{} (node {}): queue{} {} served from node {}, distance {} (10 is local)",
                        request_.ports[port].name, *own, queues.size() == 1 ? "" : "s", cpu_list_text(queues),
                        node, topology_.distance(*own, node)));
    }
}

void Planner::explain() {
    for (u32 port = 0; port < request_.ports.size(); ++port) explain_port(port);
    for (WorkerPlacement& worker : plan_.workers) {
        std::string near;
        for (u32 port = 0; port < request_.ports.size(); ++port) {
            if (node_of(request_.ports[port]) == worker.node)
                near += fmt::format("{}{}", near.empty() ? "" : ", ", request_.ports[port].name);
        }
        const Cpu* const cpu = worker.core ? topology_.cpu(*worker.core) : nullptr;
        if (cpu == nullptr)
            worker.reason = "not pinned: no core of its own";
        else if (request_.cores)
            worker.reason = "configured";
        else if (cpu->isolated)
            worker.reason = "isolated";
        else
            worker.reason = "a core of its own";
        if (!near.empty()) worker.reason += fmt::format(", on the node of {}", near);
    }
}

PlacementPlan Planner::plan() {
    decide_numa();
    cores_ = worker_cores(topology_, request_, nodes_with_ports(), plan_.notes);
    leave_taken();
    aim();
    const u32 limit = worker_limit();
    u32 queues = 0;
    for (const PlacedPort& port : request_.ports) queues = std::max(queues, port.queues);
    if (!request_.ports.empty() && cores_.size() < std::min(limit, queues))
        plan_.notes.push_back(
            fmt::format("{} cores for up to {} queues a port: workers serve several", cores_.size(), queues));
    choose_workers(std::min(limit, static_cast<u32>(cores_.size())));
    const bool alone = !request_.cores && topology_.cpus.size() == 1;
    if (plan_.workers.empty()) {
        WorkerPlacement unpinned;
        unpinned.node = topology_.nodes.front().id;
        plan_.workers.push_back(unpinned);
        plan_.notes.push_back("no core can be had: one worker runs wherever it is let");
    } else if (alone) {
        plan_.workers.front().core.reset();
    }
    bind_memory();
    deal_queues();
    explain();
    return std::move(plan_);
}

}  // namespace

u32 PlacementPlan::worker_of(u32 port, u32 queue) const {
    for (u32 i = 0; i < workers.size(); ++i) {
        const auto& queues = workers[i].queues;
        if (std::find(queues.begin(), queues.end(), QueueOfPort{port, queue}) != queues.end()) return i;
    }
    return std::numeric_limits<u32>::max();
}

std::vector<std::string> PlacementPlan::lines(const std::vector<PlacedPort>& ports,
                                              const std::string& title) const {
    std::vector<std::string> lines;
    lines.push_back(fmt::format("NUMA placement {}: {}", numa ? "on" : "off", numa_reason));
    for (size_t i = 0; i < workers.size(); ++i) {
        const WorkerPlacement& worker = workers[i];
        std::string line = fmt::format("{} {}: ", title, i);
        line += worker.core ? fmt::format("core {} of node {}", *worker.core, worker.node) : "no core";
        if (worker.memory_node) line += fmt::format(", memory on node {}", *worker.memory_node);
        for (u32 port = 0; port < ports.size(); ++port) {
            std::vector<u32> queues;
            for (const QueueOfPort& each : worker.queues) {
                if (each.port == port) queues.push_back(each.queue);
            }
            if (!queues.empty())
                line += fmt::format(", {} queue{} {}", ports[port].name, queues.size() == 1 ? "" : "s",
                                    cpu_list_text(queues));
        }
        lines.push_back(fmt::format("{} ({})", line, worker.reason));
    }
    if (!table_nodes.empty())
        lines.push_back(fmt::format("shared tables {} node{} {}",
                                    table_nodes.size() > 1 ? "interleaved over" : "on",
                                    table_nodes.size() > 1 ? "s" : "", cpu_list_text(table_nodes)));
    lines.insert(lines.end(), notes.begin(), notes.end());
    return lines;
}

PlacementPlan plan_placement(const Topology& topology, const PlacementRequest& request) {
    return Planner(topology, request).plan();
}

}  // namespace sluice
