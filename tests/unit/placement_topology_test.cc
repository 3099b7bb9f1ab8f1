// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "dataplane/base/mapping.h"
#include "dataplane/placement/huge_pages.h"
#include "dataplane/placement/irq_affinity.h"
#include "dataplane/placement/memory_scope.h"
#include "tests/support/fake_machine.h"

namespace sluice {
namespace {

using Numbers = std::vector<u32>;

TEST(CpuList, ReadsAndWritesTheKernelsForm) {
    EXPECT_EQ(*parse_cpu_list("0-3,8,10-11\n"), (Numbers{0, 1, 2, 3, 8, 10, 11}));
    EXPECT_EQ(*parse_cpu_list(""), Numbers{});
    EXPECT_EQ(*parse_cpu_list("5,1,1-2"), (Numbers{1, 2, 5}));
    EXPECT_EQ(cpu_list_text({0, 1, 2, 3, 8, 10, 11}), "0-3,8,10-11");
    EXPECT_EQ(cpu_list_text({}), "none");
    for (const char* wrong : {"x", "1-", "3-1", "1,", ",1", "1 2", "99999", "-1"})
        EXPECT_FALSE(parse_cpu_list(wrong)) << wrong;
}

TEST(Topology, AMachineWithoutNumaHasOneNode) {
    FakeMachine machine;
    machine.cpus("0-3");
    const Topology topology = machine.topology();
    ASSERT_EQ(topology.nodes.size(), 1U);
    EXPECT_EQ(topology.nodes[0].id, 0U);
    EXPECT_TRUE(topology.nodes[0].memory);
    EXPECT_EQ(topology.cpus.size(), 4U);
    EXPECT_EQ(topology.distance(0, 0), 10U);
}

TEST(Topology, NodeNumbersMayHaveGaps) {
    FakeMachine machine;
    machine.cpus("0-3").nodes("0,8", "0,8").node(0, "0-1", "10 40").node(8, "2-3", "40 10");
    const Topology topology = machine.topology();
    ASSERT_EQ(topology.nodes.size(), 2U);
    EXPECT_EQ(topology.nodes[1].id, 8U);
    EXPECT_EQ(topology.cpu(3)->node, 8U);
    EXPECT_EQ(topology.distance(0, 8), 40U);
    EXPECT_EQ(topology.distance(8, 8), 10U);
    EXPECT_EQ(topology.distance(0, 4), 20U) << "a node that is not there";
}

TEST(Topology, OfflineCpusAreNotAmongTheCpus) {
    FakeMachine machine;
    machine.cpus("0,2-3", "0-4");
    const Topology topology = machine.topology();
    EXPECT_EQ(topology.cpu(1), nullptr);
    EXPECT_EQ(topology.offline, (Numbers{1, 4}));
}

TEST(Topology, SiblingsAreOneCore) {
    FakeMachine machine;
    machine.cpus("0-3").siblings("0,2").siblings("1,3");
    const Topology topology = machine.topology();
    EXPECT_EQ(topology.cpu(2)->core, 0U);
    EXPECT_EQ(topology.cpu(3)->core, 1U);
}

TEST(Topology, AnIsolatedCpuIsAllowedUnlessTheAffinityWasNarrowed) {
    FakeMachine machine;
    machine.cpus("0-7").isolated("6-7").allowed("0-5", "0");
    EXPECT_TRUE(machine.topology().cpu(6)->allowed) << "what isolcpus= leaves a process with";
    EXPECT_TRUE(machine.topology().cpu(6)->isolated);
    machine.allowed("0-3", "0");
    EXPECT_FALSE(machine.topology().cpu(6)->allowed);
    EXPECT_FALSE(machine.topology().cpu(4)->allowed);
}

TEST(Topology, ACpusetLimitsIsolatedCpusToo) {
    FakeMachine machine;
    machine.cpus("0-7").isolated("6-7").allowed("2-5", "0");
    machine.write("proc/self/cgroup", "0::/pod/sluice")
        .write("sys/fs/cgroup/pod/sluice/cpuset.cpus.effective", "2-6");
    EXPECT_TRUE(machine.topology().cpu(6)->allowed);
    EXPECT_FALSE(machine.topology().cpu(7)->allowed);
    EXPECT_FALSE(machine.topology().cpu(0)->allowed);
    machine.write("proc/self/cgroup", "3:cpuset:/old\n0::/")
        .write("sys/fs/cgroup/cpuset/old/cpuset.cpus", "2-7");
    EXPECT_TRUE(machine.topology().cpu(7)->allowed) << "version 1 of cgroups";
}

TEST(Topology, ANodesMemoryMayBeMissingOrForbidden) {
    FakeMachine machine;
    machine.cpus("0-3").nodes("0-2", "0-1").allowed("0-3", "0,2");
    machine.node(0, "0-1", "10 20 20").node(1, "2-3", "20 10 20").node(2, "", "20 20 10");
    const Topology topology = machine.topology();
    EXPECT_TRUE(topology.node(0)->memory);
    EXPECT_FALSE(topology.node(1)->memory) << "cpuset.mems does not have it";
    EXPECT_FALSE(topology.node(2)->memory) << "has none";
}

TEST(Topology, AnUnreadableMachineIsAnErrorThatNamesTheFile) {
    const FakeMachine empty;
    const auto none = read_topology(empty.files());
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().message.find("system/cpu/online"), std::string::npos);
    FakeMachine wrong;
    wrong.cpus("0-1").write("sys/devices/system/node/online", "zero");
    const auto read = read_topology(wrong.files());
    ASSERT_FALSE(read);
    EXPECT_NE(read.error().message.find("node/online: \"zero\": expected a list"), std::string::npos)
        << read.error().message;
}

TEST(Topology, ThisMachineCanBeRead) {
    const auto topology = read_topology();
    ASSERT_TRUE(topology) << topology.error().message;
    EXPECT_TRUE(std::any_of(topology->cpus.begin(), topology->cpus.end(),
                            [](const Cpu& cpu) { return cpu.allowed; }));
}

TEST(PciNode, IsAbsentForADeviceOnNone) {
    FakeMachine machine;
    machine.pci("0000:3b:00.0", "1").pci("0000:00:03.0", "-1");
    EXPECT_EQ(pci_node("0000:3b:00.0", machine.files()), 1U);
    EXPECT_EQ(pci_node("0000:00:03.0", machine.files()), std::nullopt);
    EXPECT_EQ(pci_node("0000:99:00.0", machine.files()), std::nullopt);
    EXPECT_EQ(pci_node("../3b", machine.files()), std::nullopt);
}

TEST(IrqNames, TellTheReceiveQueue) {
    EXPECT_EQ(receive_queue_of("eth0-TxRx-3"), 3U);
    EXPECT_EQ(receive_queue_of("i40e-eth0-TxRx-12"), 12U);
    EXPECT_EQ(receive_queue_of("ens5-Tx-Rx-1"), 1U);
    EXPECT_EQ(receive_queue_of("virtio1-input.2"), 2U);
    EXPECT_EQ(receive_queue_of("eth0-rxtx-0"), 0U);
    EXPECT_EQ(receive_queue_of("mlx5_comp7@pci:0000:3b:00.0"), 7U);
    for (const char* other :
         {"virtio1-output.2", "virtio1-config", "eth0", "mlx5_async0@pci:0000:3b:00.0", ""})
        EXPECT_EQ(receive_queue_of(other), std::nullopt) << other;
}

void add_irq(FakeMachine& machine, u32 irq, const std::string& action, const std::string& cores) {
    machine.write(fmt::format("sys/bus/pci/devices/0000:3b:00.0/msi_irqs/{}", irq), "msix");
    machine.write(fmt::format("sys/kernel/irq/{}/actions", irq), action);
    machine.write(fmt::format("proc/irq/{}/smp_affinity_list", irq), cores);
}

TEST(IrqAffinity, FollowsTheWorkersAndIsPutBack) {
    FakeMachine machine;
    add_irq(machine, 40, "eth0", "0-7");
    add_irq(machine, 41, "eth0-TxRx-0", "0-7");
    add_irq(machine, 42, "eth0-TxRx-1", "2");
    {
        const IrqAffinity irqs("0000:3b:00.0", {{0, 4}, {1, 5}}, machine.files());
        EXPECT_EQ(irqs.moved(), 2U);
        EXPECT_TRUE(irqs.problems().empty());
        EXPECT_EQ(machine.read("proc/irq/40/smp_affinity_list"), "0-7");
        EXPECT_EQ(machine.read("proc/irq/41/smp_affinity_list"), "4");
        EXPECT_EQ(machine.read("proc/irq/42/smp_affinity_list"), "5");
    }
    EXPECT_EQ(machine.read("proc/irq/41/smp_affinity_list"), "0-7");
    EXPECT_EQ(machine.read("proc/irq/42/smp_affinity_list"), "2");
}

TEST(IrqAffinity, SaysWhyNothingWasMoved) {
    FakeMachine machine;
    const IrqAffinity none("0000:3b:00.0", {{0, 4}}, machine.files());
    ASSERT_EQ(none.problems().size(), 1U);
    EXPECT_EQ(none.problems()[0], "device 0000:3b:00.0: has no message-signalled interrupts");
    add_irq(machine, 40, "strange", "0");
    const IrqAffinity strange("0000:3b:00.0", {{0, 4}}, machine.files());
    ASSERT_EQ(strange.problems().size(), 1U);
    EXPECT_EQ(strange.problems()[0],
              "device 0000:3b:00.0: none of its 1 interrupts is named after a receive queue");
}

void add_pool(FakeMachine& machine, u32 node, u32 kilobytes, u32 total, u32 free) {
    const std::string directory =
        fmt::format("sys/devices/system/node/node{}/hugepages/hugepages-{}kB/", node, kilobytes);
    machine.write(directory + "nr_hugepages", fmt::to_string(total));
    machine.write(directory + "free_hugepages", fmt::to_string(free));
}

TEST(HugePages, AreReadBySizeAndNode) {
    FakeMachine machine;
    add_pool(machine, 0, 2048, 128, 100);
    add_pool(machine, 1, 2048, 0, 0);
    add_pool(machine, 1, 1048576, 2, 1);
    const auto pools = read_huge_pages(machine.files());
    ASSERT_EQ(pools.size(), 3U);
    EXPECT_EQ(pools[0].free, 100U);
    EXPECT_EQ(pools[1].node, 1U);
    EXPECT_EQ(pools[2].page_bytes, u64{1} << 30);
    EXPECT_EQ(page_size_text(pools[2].page_bytes), "1G");
    EXPECT_EQ(page_size_text(pools[0].page_bytes), "2M");
    FakeMachine flat;
    flat.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "7");
    ASSERT_EQ(read_huge_pages(flat.files()).size(), 1U) << "a kernel without NUMA";
    EXPECT_EQ(read_huge_pages(flat.files())[0].total, 7U);
}

TEST(HugePages, MountsTellTheirPageSize) {
    FakeMachine machine;
    machine.write("proc/meminfo", "MemTotal: 1 kB\nHugepagesize:       2048 kB");
    machine.write(
        "proc/self/mounts",
        "none /dev/hugepages hugetlbfs rw,relatime 0 0\nnone /mnt/1g hugetlbfs rw,pagesize=1024M 0 0\n"
        "tmpfs /tmp tmpfs rw 0 0");
    const auto mounts = read_huge_page_mounts(machine.files());
    ASSERT_EQ(mounts.size(), 2U);
    EXPECT_EQ(mounts[0].page_bytes, u64{2} << 20);
    EXPECT_EQ(mounts[1].page_bytes, u64{1} << 30);
    EXPECT_EQ(mounts[1].path, "/mnt/1g");
}

TEST(HugePages, AShortfallNamesTheNodeAndTheRemedy) {
    const std::vector<HugePagePool> pools = {{2 << 20, 0, 64, 64}, {2 << 20, 1, 8, 2}};
    EXPECT_TRUE(huge_page_shortfalls(pools, {{0, 100 << 20}}).empty());
    EXPECT_TRUE(huge_page_shortfalls(pools, {}).empty());
    const auto lines = huge_page_shortfalls(pools, {{0, 100 << 20}, {1, 32 << 20}});
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0],
              "node 1: 4 MiB of free huge pages for 32 MiB of packet buffers (128 MiB on other nodes): "
              "scripts/setup-hugepages.sh --node 1 --pages +14");
    const auto none = huge_page_shortfalls({}, {{0, 1}});
    ASSERT_EQ(none.size(), 1U);
    EXPECT_EQ(none[0], "no huge pages are free (1 MiB would be used): packet buffers lie on small pages");
}

TEST(MemoryScope, PutsMemoryOnTheNode) {
    const auto topology = read_topology();
    ASSERT_TRUE(topology);
    const u32 node = topology->nodes.front().id;
    const MemoryScope scope({node});
    if (!scope.refusal().empty()) GTEST_SKIP() << scope.refusal();
    auto area = Mapping::anonymous(1 << 20, false);
    ASSERT_TRUE(area);
    std::fill_n(area->as<u8>(), area->size(), u8{1});
    const auto pages = pages_by_node(area->data(), area->size());
    ASSERT_EQ(pages.size(), node + 1U);
    EXPECT_EQ(pages[node], 256U);
}

TEST(MemoryScope, ANodeThatIsNotThereIsARefusalAndNoFailure) {
    const MemoryScope scope({1000});
    EXPECT_NE(scope.refusal().find("set_mempolicy, nodes 1000"), std::string::npos) << scope.refusal();
}

}  // namespace
}  // namespace sluice
