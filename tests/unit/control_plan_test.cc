// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "control/daemon/nat_ports.h"
#include "control/daemon/node_lock.h"
#include "control/daemon/placement.h"
#include "control/daemon/plan.h"
#include "control/daemon/port_numbers.h"
#include "control/daemon/tier_moves.h"
#include "control/daemon/worker_pool.h"
#include "tests/support/fake_machine.h"

namespace sluice::control {
namespace {

using config::Requirement;
using config::Tier;

config::Interface interface(std::vector<Requirement> require = {}) {
    config::Interface out;
    out.name = "eth0";
    out.require = std::move(require);
    return out;
}

config::TierFlags flags(config::Switch xdp, config::Switch af_xdp) {
    config::TierFlags out;
    out.xdp = {xdp, config::DecidedBy::environment};
    out.af_xdp = {af_xdp, config::DecidedBy::environment};
    return out;
}

TEST(Plan, WithoutAWordBothXdpTiersServe) {
    const auto plan = plan_interface(interface(), {});
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->xdp);
    EXPECT_TRUE(plan->af_xdp);
    EXPECT_FALSE(plan->engine_only());
}

TEST(Plan, WithoutTheXdpTierTheProgramOnlyHandsOver) {
    const auto plan = plan_interface(interface(), flags(config::Switch::off, config::Switch::automatic));
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->program());
    EXPECT_TRUE(plan->engine_only());
    EXPECT_EQ(plan->tiers[0].tier == Tier::xdp ? plan->tiers[0].why_not : plan->tiers[1].why_not,
              "switched off by the environment");
}

TEST(Plan, WithBothOffNothingGoesOnTheInterface) {
    const auto plan = plan_interface(interface(), flags(config::Switch::off, config::Switch::off));
    ASSERT_TRUE(plan);
    EXPECT_FALSE(plan->program());
}

TEST(Plan, AFlagBeatsTheFile) {
    config::Interface only_xdp = interface();
    only_xdp.tiers = {Tier::xdp};
    const auto plan = plan_interface(only_xdp, flags(config::Switch::automatic, config::Switch::on));
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->af_xdp);
}

TEST(Plan, RequiringWhatIsSwitchedOffIsRefusedWithTheReason) {
    const auto plan = plan_interface(interface({Requirement::af_xdp}),
                                     flags(config::Switch::automatic, config::Switch::off));
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().message,
              "interface eth0: require af_xdp: af_xdp is switched off by the environment");
}

TEST(Plan, ZeroCopyIsRequiredOfTheSockets) {
    const auto plan = plan_interface(interface({Requirement::af_xdp_zero_copy}), {});
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->zero_copy, ZeroCopy::require);
    EXPECT_TRUE(plan->require_af_xdp);
}

TEST(TierMoves, ASectionIsChangedToItsTierAndBack) {
    std::vector<config::Interface> sections = {interface()};
    auto moves = with_move({}, sections, "eth0", config::Tier::dpdk);
    ASSERT_TRUE(moves);
    const auto there = moved(sections, *moves);
    EXPECT_EQ(there[0].tiers, std::vector{config::Tier::dpdk});
    EXPECT_TRUE(there[0].dpdk->device.starts_with("net_af_xdp_eth0,iface=eth0"));
    moves = with_move(*moves, sections, "eth0", std::nullopt);
    ASSERT_TRUE(moves);
    EXPECT_EQ(moved(sections, *moves), sections);
}

TEST(TierMoves, WhatTheKernelDoesNotHaveIsRefused) {
    std::vector<config::Interface> sections = {interface()};
    sections[0].dpdk = config::DpdkPort{"0000:3b:00.0"};
    const auto refused = with_move({}, sections, "eth0", config::Tier::xdp);
    ASSERT_FALSE(refused);
    EXPECT_EQ(
        refused.error().message,
        "interface eth0: tier xdp: 0000:3b:00.0 belongs to DPDK alone: the kernel has no interface of it");
    EXPECT_TRUE(with_move({}, sections, "eth0", config::Tier::dpdk));
    EXPECT_FALSE(with_move({}, sections, "eth1", config::Tier::xdp));
}

TEST(TierMoves, AWordThatIsNoTierIsRefused) {
    EXPECT_EQ(tier_of("af_xdp").value(), config::Tier::af_xdp);
    EXPECT_EQ(tier_of("auto").value(), std::nullopt);
    EXPECT_FALSE(tier_of("vpp"));
}

TEST(Plan, AFlagBeatsAMove) {
    config::Interface eth0 = interface();
    eth0.tiers = {config::Tier::epoll};
    const auto there = plan_interface(eth0, {}, config::Tier::epoll);
    ASSERT_TRUE(there);
    EXPECT_FALSE(there->program());
    const auto refused =
        plan_interface(eth0, flags(config::Switch::automatic, config::Switch::on), config::Tier::epoll);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message,
              "interface eth0: tier epoll: af_xdp is switched on by the environment");
}

TEST(PortNumbers, ANameThatStaysKeepsItsNumberAndGapsAreFilled) {
    PortNumbers numbers;
    ASSERT_TRUE(numbers.assign({"a", "b", "c"}));
    const u8 c = numbers.at("c");
    ASSERT_TRUE(numbers.assign({"c", "d", "e"}));
    EXPECT_EQ(numbers.at("c"), c);
    EXPECT_EQ(numbers.at("d"), 1);
    EXPECT_EQ(numbers.at("e"), 2);
}

TEST(PortNumbers, AnAdoptedNumberIsKeptUnlessTaken) {
    PortNumbers numbers;
    numbers.adopt("b", 7);
    numbers.adopt("a", 7);
    ASSERT_TRUE(numbers.assign({"a", "b"}));
    EXPECT_EQ(numbers.at("b"), 7);
    EXPECT_EQ(numbers.at("a"), 1);
}

TEST(PortNumbers, MoreThanTheNodeHoldsIsAnErrorThatChangesNothing) {
    PortNumbers numbers;
    ASSERT_TRUE(numbers.assign({"a"}));
    std::vector<std::string> many;
    for (int i = 0; i < 64; ++i) many.push_back(fmt::format("eth{}", i));
    EXPECT_FALSE(numbers.assign(many));
    EXPECT_EQ(numbers.all().size(), 1U);
    many.pop_back();
    EXPECT_TRUE(numbers.assign(many));
}

TEST(LogicalInterfaces, EveryTagOfADeviceIsOne) {
    config::Config config;
    config.interfaces = {interface()};
    config.interfaces[0].vlan = {200, 300};
    config::Interface sub;
    sub.name = "eth0.200";
    sub.parent = "eth0";
    sub.tag = 200;
    config.interfaces.push_back(sub);
    const auto all = logical_interfaces(config);
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[1].name, "eth0.200");
    EXPECT_EQ(all[1].settings, &config.interfaces[1]);
    EXPECT_EQ(all[2].name, "eth0.300");
    EXPECT_EQ(all[2].settings, nullptr);
}

TEST(NatPorts, AreBelowTheKernelsOwn) {
    const NatPorts usual = nat_ports("32768\t60999\n");
    EXPECT_EQ(usual.first, 1024);
    EXPECT_EQ(usual.count, 31744);
    const NatPorts low = nat_ports("1024 20000");
    EXPECT_EQ(low.first, 20001);
    EXPECT_EQ(low.count, 32767 - 20000);
    const NatPorts middle = nat_ports("10000 30000");
    EXPECT_EQ(middle.first, 1024);
    EXPECT_EQ(middle.count, 10000 - 1024);
    EXPECT_EQ(nat_ports("1024 65535").count, 0);
    EXPECT_EQ(nat_ports("what").count, 31744);
}

TEST(NodePlacement, WorkersAreBoundedByQueuesAndLeaveACore) {
    std::vector<XskQueue> queues;
    for (u32 queue = 0; queue < 4; ++queue) queues.push_back({"no-such-device", 2, 1, queue});
    const auto workers = [&](const std::string& cpus, const config::Workers& settings) {
        FakeMachine machine;
        machine.cpus(cpus);
        return NodePlacement({}, machine.files()).for_sockets(settings, queues).plan.workers.size();
    };
    EXPECT_EQ(workers("0-1", {}), 1U);
    EXPECT_EQ(workers("0-3", {}), 3U);
    EXPECT_EQ(workers("0-15", {}), 4U);
    EXPECT_EQ(workers("0", {}), 1U);
    config::Workers cores;
    cores.cores = {2, 3};
    EXPECT_EQ(workers("0-15", cores), 2U);
}

TEST(NodePlacement, FlagBeatsFileAndIsNamed) {
    FakeMachine machine;
    machine.cpus("0-3").nodes("0-1", "0-1").node(0, "0-1", "10 20").node(1, "2-3", "20 10");
    config::Workers settings;
    settings.numa = true;
    const std::vector<XskQueue> queues = {{"no-such-device", 2, 1, 0}};
    const config::Flag off{config::Switch::off, config::DecidedBy::environment};
    const Placement placement = NodePlacement(off, machine.files()).for_sockets(settings, queues);
    EXPECT_FALSE(placement.plan.numa);
    EXPECT_EQ(placement.plan.numa_reason, "switched off, false (environment; the file says true)");
    EXPECT_EQ(placement.worker_of("no-such-device", 0), 0U);
    const Placement on = NodePlacement({}, machine.files()).for_sockets(settings, queues);
    EXPECT_TRUE(on.plan.numa);
    EXPECT_EQ(on.plan.numa_reason, "the machine has 2 nodes, true (file)");
}

TEST(NodePlacement, AMachineThatCannotBeReadGetsOneWorkerAndTheReason) {
    const FakeMachine empty;
    const Placement placement =
        NodePlacement({}, empty.files()).for_sockets({}, {{"no-such-device", 2, 1, 3}});
    ASSERT_EQ(placement.plan.workers.size(), 1U);
    EXPECT_EQ(placement.plan.workers[0].queues.size(), 4U);
    EXPECT_NE(placement.plan.notes.at(0).find("system/cpu/online: cannot be read"), std::string::npos);
}

TEST(NodeLock, TheSecondDaemonIsToldWhoHasIt) {
    const std::string path = testing::TempDir() + "sluice-lock-test/x.lock";
    auto first = NodeLock::take(path);
    ASSERT_TRUE(first) << first.error().message;
    const auto second = NodeLock::take(path);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find(fmt::format("(pid {})", getpid())), std::string::npos);
    { const NodeLock gone = std::move(*first); }
    EXPECT_TRUE(NodeLock::take(path)) << "a file left behind is no obstacle";
}

}  // namespace
}  // namespace sluice::control
