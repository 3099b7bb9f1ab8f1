// SPDX-License-Identifier: Apache-2.0
//
// The mirror against the real kernel, in a network namespace of the test's own. Needs root.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>

#include "dataplane/io/netlink/interface_state.h"
#include "dataplane/io/netlink/kernel_mirror.h"

namespace sluice::netlink {
namespace {

using namespace std::chrono_literals;

struct address at(const char* text) {
    be32 v4{};
    EXPECT_EQ(inet_pton(AF_INET, text, &v4), 1) << text;
    return address_from_ipv4(v4);
}

class NetlinkMirror : public testing::Test {
protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root";
        // A new namespace for every test: the old one and its links vanish with its last user.
        if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "needs a network namespace of its own";
        run("ip link set lo up");
        run("ip link add sl0 type veth peer name sl1");
        run("ip link set sl0 up && ip link set sl1 up");
        run("ip address add 10.0.0.1/24 dev sl0");
        auto loop = EventLoop::create();
        ASSERT_TRUE(loop);
        loop_ = std::move(*loop);
        auto mirror =
            KernelMirror::create(*loop_, [this](const KernelView&, const KernelView&) { changes_++; });
        ASSERT_TRUE(mirror) << mirror.error().message;
        mirror_ = std::move(*mirror);
    }

    static void run(const char* command) { ASSERT_EQ(std::system(command), 0) << command; }

    // Runs the loop until `done`, two seconds at most.
    bool wait_until(const std::function<bool()>& done) {
        const auto limit = std::chrono::steady_clock::now() + 2s;
        auto tick = loop_->every(5ms, [&] {
            if (done() || std::chrono::steady_clock::now() > limit) loop_->stop();
        });
        EXPECT_TRUE(tick);
        EXPECT_TRUE(loop_->run());
        loop_->remove(*tick);
        return done();
    }

    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<KernelMirror> mirror_;
    int changes_ = 0;
};

TEST_F(NetlinkMirror, ReadsWhatIsThereAtStart) {
    const Link* link = mirror_->view().link("sl0");
    ASSERT_NE(link, nullptr);
    EXPECT_EQ(link->mtu, 1500U);
    EXPECT_TRUE(link->up);
    EXPECT_NE(link->mac, Mac{});
    EXPECT_EQ(mirror_->view().resolve(at("10.0.0.9"), 0).reach, Reach::no_neighbor);
    EXPECT_EQ(mirror_->view().resolve(at("10.0.0.1"), 0).reach, Reach::no_route) << "its own address";
}

TEST_F(NetlinkMirror, FollowsRoutesAndNeighbours) {
    run("ip route add 192.0.2.0/24 via 10.0.0.2 && ip neighbor add 10.0.0.2 lladdr 02:00:00:00:00:02 dev "
        "sl0");
    KernelReader& reader = mirror_->make_reader();
    EXPECT_TRUE(wait_until([&] { return reader.resolve(at("192.0.2.5"), 0).reach == Reach::found; }));
    EXPECT_EQ(reader.resolve(at("192.0.2.5"), 0).mac[5], 2);

    run("ip neighbor change 10.0.0.2 lladdr 02:00:00:00:00:33 dev sl0");
    EXPECT_TRUE(wait_until([&] { return reader.resolve(at("192.0.2.5"), 0).mac[5] == 0x33; }));

    run("ip route delete 192.0.2.0/24");
    EXPECT_TRUE(wait_until([&] { return reader.resolve(at("192.0.2.5"), 0).reach == Reach::no_route; }));
    EXPECT_GE(changes_, 3);
}

TEST_F(NetlinkMirror, FollowsAnMtuAnAddressAndALinkThatVanishesAndReturns) {
    const std::uint32_t before = mirror_->view().link("sl0")->ifindex;
    run("ip link set sl0 mtu 1400");
    EXPECT_TRUE(wait_until([&] { return mirror_->view().link("sl0")->mtu == 1400; }));
    run("ip address add 10.0.7.1/24 dev sl0");
    EXPECT_TRUE(wait_until([&] { return mirror_->view().resolve(at("10.0.7.9"), 0).ifindex == before; }));
    run("ip link delete sl0");
    EXPECT_TRUE(wait_until([&] { return mirror_->view().link("sl0") == nullptr; }));
    EXPECT_EQ(mirror_->view().resolve(at("10.0.7.9"), 0).reach, Reach::no_route);
    run("ip link add sl0 type veth peer name sl1 && ip link set sl0 up && ip link set sl1 up");
    EXPECT_TRUE(wait_until([&] { return mirror_->view().link("sl0") != nullptr; }));
    EXPECT_NE(mirror_->view().link("sl0")->ifindex, before);
}

TEST_F(NetlinkMirror, WeightsOfAMultipathRouteAreTheKernels) {
    run("ip route add 192.0.2.0/24 nexthop via 10.0.0.2 weight 1 nexthop via 10.0.0.3 weight 3");
    const auto find = [&]() -> const Route* {
        for (const Route& route : mirror_->view().data().routes)
            if (route.hops.size() == 2) return &route;
        return nullptr;
    };
    ASSERT_TRUE(wait_until([&] { return find() != nullptr; }));
    EXPECT_EQ(find()->hops[0].weight, 1U);
    EXPECT_EQ(find()->hops[1].weight, 3U);
}

TEST_F(NetlinkMirror, AWorkersRequestMakesTheKernelResolve) {
    // The other end answers for its address from a namespace of its own, so that the request crosses the
    // wire.
    run("ip netns add sl-netlink-test && ip link set sl1 netns sl-netlink-test");
    run("ip -n sl-netlink-test address add 10.0.0.2/24 dev sl1 && ip -n sl-netlink-test link set sl1 up");
    ASSERT_TRUE(wait_until(
        [&] { return mirror_->view().link("sl0") != nullptr && mirror_->view().link("sl0")->up; }));
    KernelReader& reader = mirror_->make_reader();
    const RouteAnswer missing = reader.resolve(at("10.0.0.2"), 0);
    EXPECT_EQ(missing.reach, Reach::no_neighbor);
    mirror_->requests().ask(missing.ifindex, missing.next_hop);
    EXPECT_TRUE(wait_until([&] { return reader.resolve(at("10.0.0.2"), 0).reach == Reach::found; }));
    EXPECT_EQ(mirror_->counters().neighbor_requests, 1U);
    EXPECT_EQ(mirror_->counters().neighbor_failures, 0U);
    EXPECT_EQ(std::system("ip netns delete sl-netlink-test"), 0);
}

TEST_F(NetlinkMirror, WhatAnInterfaceHasIsPutOnAnotherInItsPlace) {
    run("ip address add 2001:db8:1::1/64 dev sl0 nodad");
    run("ip neighbor replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev sl0 nud permanent");
    run("ip route add 203.0.113.0/24 via 10.0.0.2 dev sl0 metric 7");
    run("ip -6 route add 2001:db8:2::/48 via 2001:db8:1::2 dev sl0");
    run("ip route add 198.51.100.0/24 dev sl1");
    auto state = InterfaceState::of(if_nametoindex("sl0"));
    ASSERT_TRUE(state.ok()) << state.error().message;
    EXPECT_EQ(state->size(), 5U) << "two addresses, a neighbour, two routes";
    run("ip link del sl0");
    run("ip link add sl2 type veth peer name sl3");
    run("ip link add sl0 type veth peer name sl1");
    run("ip link set sl0 up && ip link set sl1 up");
    const Status restored = state->restore(if_nametoindex("sl0"));
    ASSERT_TRUE(restored.ok()) << restored.error().message;
    run("ip address show dev sl0 | grep -q 10.0.0.1/24");
    run("ip address show dev sl0 | grep -q 2001:db8:1::1/64");
    run("ip neighbor show dev sl0 | grep -q '10.0.0.2 lladdr 02:00:00:00:00:02 PERMANENT'");
    run("ip route show 203.0.113.0/24 | grep -q 'via 10.0.0.2 dev sl0 metric 7'");
    run("ip -6 route show 2001:db8:2::/48 | grep -q 'via 2001:db8:1::2 dev sl0'");
}

}  // namespace
}  // namespace sluice::netlink
