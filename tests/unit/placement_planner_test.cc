// SPDX-License-Identifier: Apache-2.0
//
// Plans over machines made of files.
#include <gtest/gtest.h>

#include "dataplane/placement/planner.h"
#include "tests/support/fake_machine.h"

namespace sluice {
namespace {

using Numbers = std::vector<u32>;

Numbers cores_of(const PlacementPlan& plan) {
    Numbers cores;
    for (const WorkerPlacement& worker : plan.workers) cores.push_back(worker.core.value_or(999));
    return cores;
}

Numbers queues_of(const PlacementPlan& plan, u32 worker, u32 port) {
    Numbers queues;
    for (const QueueOfPort& each : plan.workers.at(worker).queues) {
        if (each.port == port) queues.push_back(each.queue);
    }
    return queues;
}

bool says(const PlacementPlan& plan, const std::string& text) {
    return std::find(plan.notes.begin(), plan.notes.end(), text) != plan.notes.end();
}

std::string all(const PlacementPlan& plan) { return fmt::format("{}", fmt::join(plan.lines({}), "\n")); }

PlacementRequest sockets(std::vector<PlacedPort> ports) {
    PlacementRequest request;
    request.ports = std::move(ports);
    request.every_worker_on_every_port = true;
    return request;
}

PlacementRequest receivers(std::vector<PlacedPort> ports) {
    PlacementRequest request;
    request.ports = std::move(ports);
    return request;
}

// Cores 0-3 on node 0, 4-7 on node 1.
void two_nodes(FakeMachine& machine) {
    machine.cpus("0-7").nodes("0-1", "0-1").node(0, "0-3", "10 21").node(1, "4-7", "21 10");
}

TEST(Planner, OneNodeLeavesACoreAndBindsNothing) {
    FakeMachine machine;
    machine.cpus("0-3").nodes("0", "0").node(0, "0-3", "10");
    const PlacementPlan plan = plan_placement(machine.topology(), sockets({{"eth0", 0, 2}}));
    EXPECT_FALSE(plan.numa);
    EXPECT_EQ(plan.numa_reason, "the machine has one node: all memory is as near to every core");
    EXPECT_EQ(cores_of(plan), (Numbers{1, 2}));
    EXPECT_EQ(plan.workers[0].memory_node, std::nullopt);
    EXPECT_TRUE(plan.table_nodes.empty());
    EXPECT_TRUE(says(plan, "core 0: left to the system")) << all(plan);
}

TEST(Planner, QueuesGoRoundTheWorkers) {
    FakeMachine machine;
    machine.cpus("0-2");
    const PlacementPlan plan =
        plan_placement(machine.topology(), sockets({{"eth0", std::nullopt, 5}, {"eth1", std::nullopt, 5}}));
    ASSERT_EQ(plan.workers.size(), 2U);
    for (const u32 port : {0U, 1U}) {
        EXPECT_EQ(queues_of(plan, 0, port), (Numbers{0, 2, 4}));
        EXPECT_EQ(queues_of(plan, 1, port), (Numbers{1, 3}));
    }
    EXPECT_EQ(plan.worker_of(1, 3), 1U);
    EXPECT_TRUE(says(plan, "2 cores for up to 5 queues a port: workers serve several")) << all(plan);
}

TEST(Planner, WorkersAndMemoryAreOnTheNodeOfThePort) {
    FakeMachine machine;
    two_nodes(machine);
    const PlacementPlan plan = plan_placement(machine.topology(), sockets({{"eth0", 1, 4}}));
    EXPECT_TRUE(plan.numa);
    EXPECT_EQ(plan.numa_reason, "the machine has 2 nodes");
    EXPECT_EQ(cores_of(plan), (Numbers{4, 5, 6, 7}));
    for (const WorkerPlacement& worker : plan.workers) {
        EXPECT_EQ(worker.node, 1U);
        EXPECT_EQ(worker.memory_node, 1U);
        EXPECT_EQ(worker.reason, "a core of its own, on the node of eth0");
    }
    EXPECT_EQ(plan.table_nodes, Numbers{1});
    EXPECT_EQ(plan.lines({{"eth0", 1, 4}})[1],
              "worker 0: core 4 of node 1, memory on node 1, eth0 queue 0 (a core of its own, on the node of "
              "eth0)");
}

TEST(Planner, ReceiversServeTheirOwnNodesPortsOnly) {
    FakeMachine machine;
    two_nodes(machine);
    const std::vector<PlacedPort> ports = {{"p0", 0, 2}, {"p1", 1, 2}};
    const PlacementPlan plan = plan_placement(machine.topology(), receivers(ports));
    ASSERT_EQ(cores_of(plan), (Numbers{1, 2, 4, 5}));
    EXPECT_EQ(queues_of(plan, 0, 0), Numbers{0});
    EXPECT_EQ(queues_of(plan, 1, 0), Numbers{1});
    EXPECT_EQ(queues_of(plan, 2, 1), Numbers{0});
    EXPECT_EQ(queues_of(plan, 3, 1), Numbers{1});
    EXPECT_EQ(plan.table_nodes, (Numbers{0, 1}));
    EXPECT_EQ(all(plan).find("distance"), std::string::npos) << all(plan);
    EXPECT_NE(all(plan).find("shared tables interleaved over nodes 0-1"), std::string::npos);
}

// A worker sends through a queue of its own on every port, so one queue of each is served from the other
// node.
TEST(Planner, SocketsOnTwoNodesStateWhatIsServedFromAfar) {
    FakeMachine machine;
    two_nodes(machine);
    const PlacementPlan plan = plan_placement(machine.topology(), sockets({{"eth0", 0, 8}, {"eth1", 1, 8}}));
    ASSERT_EQ(cores_of(plan), (Numbers{1, 2, 3, 4, 5, 6, 7}));
    for (u32 worker = 0; worker < 7; ++worker) {
        EXPECT_FALSE(queues_of(plan, worker, 0).empty());
        EXPECT_FALSE(queues_of(plan, worker, 1).empty());
    }
    EXPECT_EQ(plan.worker_of(0, 7), 0U) << "what is not needed for sending stays near";
    EXPECT_EQ(plan.worker_of(1, 7), 3U);
    EXPECT_TRUE(says(plan, "eth0 (node 0): queues 3-6 served from node 1, distance 21 (10 is local)"))
        << all(plan);
    EXPECT_TRUE(says(plan, "eth1 (node 1): queues 0-2 served from node 0, distance 21 (10 is local)"))
        << all(plan);
}

TEST(Planner, ThePortWithTheFewestQueuesLimitsWorkersThatSendByTheirOwn) {
    FakeMachine machine;
    machine.cpus("0-7");
    const std::vector<PlacedPort> ports = {{"eth0", std::nullopt, 4}, {"eth1", std::nullopt, 1}};
    const PlacementPlan plan = plan_placement(machine.topology(), sockets(ports));
    ASSERT_EQ(plan.workers.size(), 1U);
    EXPECT_EQ(queues_of(plan, 0, 0), (Numbers{0, 1, 2, 3}));
    EXPECT_NE(all(plan).find("eth1: 1 of 4 queues: that limits the workers to 1"), std::string::npos)
        << all(plan);
    EXPECT_EQ(plan_placement(machine.topology(), receivers(ports)).workers.size(), 5U);
}

TEST(Planner, FourNodesWithGapsEachServeTheirOwn) {
    FakeMachine machine;
    machine.cpus("0-7").nodes("0,2,4,6", "0,2,4,6");
    machine.node(0, "0-1", "10 20 30 40").node(2, "2-3", "20 10 20 30");
    machine.node(4, "4-5", "30 20 10 20").node(6, "6-7", "40 30 20 10");
    const PlacementPlan plan =
        plan_placement(machine.topology(), receivers({{"a", 6, 1}, {"b", 2, 2}, {"c", 0, 1}}));
    EXPECT_EQ(cores_of(plan), (Numbers{1, 2, 3, 6}));
    EXPECT_EQ(plan.worker_of(0, 0), 3U);
    EXPECT_EQ(plan.worker_of(1, 1), 2U);
    EXPECT_EQ(plan.worker_of(2, 0), 0U);
    EXPECT_EQ(plan.table_nodes, (Numbers{0, 2, 6}));
}

TEST(Planner, ANodeWithoutCoresIsServedFromTheNearest) {
    FakeMachine machine;
    machine.cpus("0-3").nodes("0-2", "0-2");
    machine.node(0, "0-1", "10 20 31").node(1, "2-3", "20 10 17").node(2, "", "31 17 10");
    const PlacementPlan plan = plan_placement(machine.topology(), receivers({{"eth0", 2, 2}}));
    EXPECT_EQ(cores_of(plan), (Numbers{2, 3}));
    EXPECT_TRUE(says(plan, "eth0: node 2 has no core for a worker")) << all(plan);
    EXPECT_TRUE(says(plan, "eth0 (node 2): queues 0-1 served from node 1, distance 17 (10 is local)"))
        << all(plan);
}

TEST(Planner, ANodeWithoutMemoryTakesTheNearests) {
    FakeMachine machine;
    machine.cpus("0-3").nodes("0-1", "0").node(0, "0-1", "10 21").node(1, "2-3", "21 10");
    const PlacementPlan plan = plan_placement(machine.topology(), receivers({{"eth0", 1, 2}}));
    EXPECT_EQ(cores_of(plan), (Numbers{2, 3}));
    EXPECT_EQ(plan.workers[0].memory_node, 0U);
    EXPECT_TRUE(
        says(plan, "node 1: has no memory for this process: node 0's is used, distance 21 (10 is local)"))
        << all(plan);
}

TEST(Planner, SmtSiblingsAndOfflineCoresAreLeftOut) {
    FakeMachine machine;
    machine.cpus("0-1,3-5,7", "0-7").siblings("0,4").siblings("1,5").siblings("3,7");
    const PlacementPlan plan = plan_placement(machine.topology(), sockets({{"eth0", std::nullopt, 8}}));
    EXPECT_EQ(cores_of(plan), (Numbers{1, 3}));
    EXPECT_TRUE(says(plan, "cores 4-5,7: left out: SMT siblings of others")) << all(plan);
    EXPECT_TRUE(says(plan, "cores 2,6: offline")) << all(plan);
    EXPECT_TRUE(says(plan, "2 cores for up to 8 queues a port: workers serve several")) << all(plan);
}

TEST(Planner, TwoThreadsOfOneCoreAreSharedWithTheSystem) {
    FakeMachine machine;
    machine.cpus("0-1").siblings("0-1");
    EXPECT_EQ(cores_of(plan_placement(machine.topology(), sockets({{"eth0", std::nullopt, 2}}))), Numbers{1});
}

TEST(Planner, OneCpuIsNotPinnedTo) {
    FakeMachine machine;
    machine.cpus("0");
    const PlacementPlan plan = plan_placement(machine.topology(), sockets({{"eth0", std::nullopt, 2}}));
    ASSERT_EQ(plan.workers.size(), 1U);
    EXPECT_EQ(plan.workers[0].core, std::nullopt);
    EXPECT_EQ(plan.workers[0].reason, "not pinned: no core of its own");
    EXPECT_EQ(queues_of(plan, 0, 0), (Numbers{0, 1}));
}

TEST(Planner, IsolatedCoresArePreferredAndNoneIsLeft) {
    FakeMachine machine;
    two_nodes(machine);
    machine.isolated("2-3").allowed("0-1,4-7", "0-1");
    const PlacementPlan plan = plan_placement(machine.topology(), receivers({{"a", 0, 4}, {"b", 1, 1}}));
    EXPECT_EQ(cores_of(plan), (Numbers{2, 3, 4, 5, 6}))
        << "node 1 has none that is isolated, so all of its cores will do:\n"
        << all(plan);
    EXPECT_EQ(plan.workers[0].reason, "isolated, on the node of a");
    EXPECT_EQ(plan.worker_of(1, 0), 2U);
    EXPECT_TRUE(says(plan, "cores 0-1: left to the system: others are isolated")) << all(plan);
}

TEST(Planner, ACpusetIsRespected) {
    FakeMachine machine;
    two_nodes(machine);
    machine.allowed("5-6", "1");
    const PlacementPlan plan = plan_placement(machine.topology(), receivers({{"eth0", 0, 4}}));
    EXPECT_EQ(cores_of(plan), Numbers{6});
    EXPECT_EQ(plan.workers[0].memory_node, 1U);
    EXPECT_TRUE(says(plan, "cores 0-4,7: left out: this process may not use them (cpuset or affinity)"))
        << all(plan);
    EXPECT_TRUE(says(plan, "eth0 (node 0): queues 0-3 served from node 1, distance 21 (10 is local)"));
}

TEST(Planner, TheSystemsCoreIsNotANodesOnlyOne) {
    FakeMachine machine;
    machine.cpus("0-2").nodes("0-1", "0-1").node(0, "0", "10 20").node(1, "1-2", "20 10");
    const PlacementPlan plan = plan_placement(machine.topology(), receivers({{"a", 0, 1}, {"b", 1, 1}}));
    EXPECT_EQ(cores_of(plan), (Numbers{0, 2}));
    EXPECT_TRUE(says(plan, "core 1: left to the system")) << all(plan);
    FakeMachine tight;
    tight.cpus("0-1").nodes("0-1", "0-1").node(0, "0", "10 20").node(1, "1", "20 10");
    const PlacementPlan both = plan_placement(tight.topology(), receivers({{"a", 0, 1}, {"b", 1, 1}}));
    EXPECT_EQ(cores_of(both), (Numbers{0, 1}));
    EXPECT_TRUE(says(both, "no core is left to the system: each node with ports has one only")) << all(both);
}

TEST(Planner, ConfiguredCoresAreUsedAsFarAsTheyCanBe) {
    FakeMachine machine;
    two_nodes(machine);
    machine.siblings("2-3").allowed("0-5", "0-1");
    PlacementRequest request = receivers({{"eth0", 1, 4}});
    request.cores = {2, 3, 5, 7, 9};
    const PlacementPlan plan = plan_placement(machine.topology(), request);
    EXPECT_EQ(cores_of(plan), (Numbers{2, 3, 5}));
    EXPECT_TRUE(
        says(plan, "workers.cores: core 7: this process may not use it (cpuset or affinity): left out"));
    EXPECT_TRUE(says(plan, "workers.cores: core 9: there is no such core: left out"));
    EXPECT_TRUE(says(plan, "workers.cores: core 3: shares its execution units with another of the list"))
        << all(plan);
    EXPECT_EQ(plan.workers[2].reason, "configured, on the node of eth0");
    EXPECT_EQ(plan.worker_of(0, 3), 2U) << "the one worker on the port's node has all of its queues";
}

TEST(Planner, CoresOfAnotherTiersWorkersAreLeftToThemWhereThereAreOthers) {
    FakeMachine machine;
    two_nodes(machine);
    PlacementRequest request = receivers({{"eth0", 0, 8}, {"eth1", 1, 8}});
    request.taken = {1, 4, 5};
    const PlacementPlan plan = plan_placement(machine.topology(), request);
    EXPECT_EQ(cores_of(plan), (Numbers{2, 3, 6, 7})) << all(plan);
}

TEST(Planner, ATakenCoreIsSharedWhereItsNodeHasNoOther) {
    FakeMachine machine;
    machine.cpus("0-2").nodes("0-1", "0-1").node(0, "0-1", "10 20").node(1, "2", "20 10");
    PlacementRequest request = receivers({{"eth0", 0, 2}, {"eth1", 1, 2}});
    request.taken = {1, 2};
    const PlacementPlan plan = plan_placement(machine.topology(), request);
    EXPECT_EQ(cores_of(plan), (Numbers{1, 2})) << all(plan);
    EXPECT_TRUE(says(plan, "cores 1-2: shared with workers of another tier")) << all(plan);
}

TEST(Planner, NoUsableConfiguredCoreLeavesOneUnpinnedWorker) {
    FakeMachine machine;
    machine.cpus("0-1", "0-2");
    PlacementRequest request = sockets({{"eth0", std::nullopt, 4}});
    request.cores = {2};
    const PlacementPlan plan = plan_placement(machine.topology(), request);
    ASSERT_EQ(plan.workers.size(), 1U);
    EXPECT_EQ(plan.workers[0].core, std::nullopt);
    EXPECT_EQ(queues_of(plan, 0, 0).size(), 4U);
    EXPECT_TRUE(says(plan, "workers.cores: core 2: it is offline: left out")) << all(plan);
    EXPECT_TRUE(says(plan, "no core can be had: one worker runs wherever it is let")) << all(plan);
}

TEST(Planner, SwitchedOffItPinsWithoutRegardToNodes) {
    FakeMachine machine;
    two_nodes(machine);
    PlacementRequest request = receivers({{"eth0", 1, 2}});
    request.numa = NumaWish::off;
    request.numa_decision = "false (environment)";
    const PlacementPlan plan = plan_placement(machine.topology(), request);
    EXPECT_FALSE(plan.numa);
    EXPECT_EQ(plan.numa_reason, "switched off, false (environment)");
    EXPECT_EQ(cores_of(plan), (Numbers{1, 2}));
    EXPECT_EQ(plan.workers[0].memory_node, std::nullopt);
}

TEST(Planner, AskedForOnOneNodeItSaysSo) {
    FakeMachine machine;
    machine.cpus("0-1");
    PlacementRequest request = sockets({{"eth0", std::nullopt, 1}});
    request.numa = NumaWish::on;
    request.numa_decision = "true (file)";
    EXPECT_EQ(plan_placement(machine.topology(), request).numa_reason,
              "the machine has one node: all memory is as near to every core, true (file)");
}

TEST(Planner, VirtualPortsKeepTogether) {
    FakeMachine machine;
    machine.cpus("0-5").nodes("0-1", "0-1").node(0, "0-1", "10 21").node(1, "2-5", "21 10");
    const PlacementPlan plan = plan_placement(machine.topology(), sockets({{"veth0", std::nullopt, 3}}));
    EXPECT_EQ(cores_of(plan), (Numbers{2, 3, 4}));
    EXPECT_EQ(plan.table_nodes, Numbers{1});
}

TEST(Planner, WithoutPortsThereIsOneWorker) {
    FakeMachine machine;
    machine.cpus("0-3");
    EXPECT_EQ(plan_placement(machine.topology(), sockets({})).workers.size(), 1U);
}

}  // namespace
}  // namespace sluice
