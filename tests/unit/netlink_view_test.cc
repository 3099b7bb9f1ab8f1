// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <map>

#include "dataplane/io/netlink/kernel_view.h"
#include "dataplane/io/netlink/neighbor_requests.h"

namespace sluice::netlink {
namespace {

struct address at(const char* text) {
    struct address out {};
    be32 v4{};
    if (inet_pton(AF_INET, text, &v4) == 1) return address_from_ipv4(v4);
    EXPECT_EQ(inet_pton(AF_INET6, text, out.word), 1) << text;
    return out;
}

std::array<std::uint64_t, 2> words(const char* text) {
    const struct address a = at(text);
    return {a.word[0], a.word[1]};
}

Route route(const char* prefix, int length, std::vector<Hop> hops) {
    Route out;
    out.prefix = words(prefix);
    const struct address a = at(prefix);
    out.ipv4 = address_is_ipv4(&a);
    out.length = static_cast<std::uint8_t>(length + (out.ipv4 ? 96 : 0));
    out.hops = std::move(hops);
    return out;
}

Neighbor neighbor(std::uint32_t ifindex, const char* address, std::uint8_t last) {
    return {ifindex, words(address), {2, 0, 0, 0, 0, last}, false};
}

const struct address& nothing() {
    static const struct address none {};
    return none;
}

TEST(KernelView, LongestPrefixWinsAndItsNextHopIsResolved) {
    KernelData data;
    data.routes = {route("0.0.0.0", 0, {{2, words("10.0.0.1"), 1}}), route("10.1.0.0", 16, {{3, {}, 1}})};
    data.neighbors = {neighbor(2, "10.0.0.1", 1), neighbor(3, "10.1.2.3", 9)};
    const KernelView view(std::move(data));

    const RouteAnswer direct = view.resolve(at("10.1.2.3"), 0);
    EXPECT_EQ(direct.reach, Reach::found);
    EXPECT_EQ(direct.ifindex, 3U);
    EXPECT_EQ(direct.mac[5], 9);
    const RouteAnswer far = view.resolve(at("198.51.100.7"), 0);
    EXPECT_EQ(far.reach, Reach::found);
    EXPECT_EQ(far.ifindex, 2U);
    EXPECT_EQ(far.mac[5], 1);
}

TEST(KernelView, TellsNoRouteFromNoNeighbor) {
    KernelData data;
    data.routes = {route("10.1.0.0", 16, {{3, words("10.1.0.9"), 1}})};
    const KernelView view(std::move(data));
    EXPECT_EQ(view.resolve(at("10.2.0.1"), 0).reach, Reach::no_route);
    const RouteAnswer answer = view.resolve(at("10.1.0.1"), 0);
    EXPECT_EQ(answer.reach, Reach::no_neighbor);
    const struct address via = at("10.1.0.9");
    EXPECT_TRUE(address_equal(&answer.next_hop, &via)) << "the gateway's MAC is what is missing";
    EXPECT_FALSE(address_equal(&answer.next_hop, &nothing()));
}

TEST(KernelView, FamiliesDoNotMeet) {
    KernelData data;
    data.routes = {route("::", 0, {{2, words("2001:db8::1"), 1}})};
    data.neighbors = {neighbor(2, "2001:db8::1", 1)};
    const KernelView view(std::move(data));
    EXPECT_EQ(view.resolve(at("10.0.0.1"), 0).reach, Reach::no_route) << "::/0 is no route for IPv4";
    EXPECT_EQ(view.resolve(at("2001:db8:1::1"), 0).reach, Reach::found);
}

TEST(KernelView, OwnAddressesAndRefusedRoutesAreNoRoute) {
    KernelData data;
    Route own = route("10.0.0.1", 32, {{1, {}, 1}});
    own.local_table = true;
    own.kind = RouteKind::refused;
    Route hole = route("10.9.0.0", 16, {});
    hole.kind = RouteKind::refused;
    data.routes = {own, hole, route("0.0.0.0", 0, {{2, {}, 1}})};
    data.neighbors = {neighbor(2, "10.0.0.1", 1), neighbor(2, "10.9.1.1", 1)};
    const KernelView view(std::move(data));
    EXPECT_EQ(view.resolve(at("10.0.0.1"), 0).reach, Reach::no_route);
    EXPECT_EQ(view.resolve(at("10.9.1.1"), 0).reach, Reach::no_route);
    EXPECT_EQ(view.resolve(at("10.8.1.1"), 0).reach, Reach::no_neighbor);
}

TEST(KernelView, TheLeastMetricWins) {
    KernelData data;
    Route costly = route("10.0.0.0", 8, {{2, {}, 1}});
    costly.metric = 200;
    Route cheap = route("10.0.0.0", 8, {{3, {}, 1}});
    cheap.metric = 100;
    data.routes = {costly, cheap};
    EXPECT_EQ(KernelView(std::move(data)).resolve(at("10.1.1.1"), 0).ifindex, 3U);
}

TEST(KernelView, SeveralNextHopsShareByWeight) {
    KernelData data;
    data.routes = {route("10.0.0.0", 8, {{2, words("10.0.0.2"), 1}, {3, words("10.0.0.3"), 3}})};
    const KernelView view(std::move(data));
    std::map<std::uint32_t, int> taken;
    for (std::uint32_t i = 0; i < 4000; ++i) taken[view.resolve(at("10.1.1.1"), i * 1073741U).ifindex]++;
    EXPECT_NEAR(taken[2], 1000, 20);
    EXPECT_NEAR(taken[3], 3000, 20);
}

TEST(KernelView, AStaleNeighborForwardsLikeAConfirmedOne) {
    KernelData data;
    data.routes = {route("10.0.0.0", 8, {{2, {}, 1}})};
    data.neighbors = {neighbor(2, "10.0.0.1", 1)};
    const KernelView view(data);
    data.neighbors[0].stale = true;
    EXPECT_TRUE(KernelView(data).forwards_like(view));
    data.neighbors[0].mac[5] = 7;
    EXPECT_FALSE(KernelView(data).forwards_like(view));
}

TEST(NeighborRequests, AskingTwiceIsOneRequest) {
    auto made = NeighborRequests::create();
    ASSERT_TRUE(made);
    NeighborRequests& requests = **made;
    for (int i = 0; i < 100; ++i) requests.ask(2, at("10.0.0.1"));
    requests.ask(2, at("10.0.0.2"));
    EXPECT_EQ(requests.take().size(), 2U);
    EXPECT_TRUE(requests.take().empty());
    requests.ask(2, at("10.0.0.1"));
    EXPECT_EQ(requests.take().size(), 1U) << "once taken it can be asked for again";
}

TEST(NeighborRequests, AFloodIsBoundedAndWhatIsLostIsCounted) {
    auto made = NeighborRequests::create();
    ASSERT_TRUE(made);
    NeighborRequests& requests = **made;
    for (std::uint32_t i = 0; i < 100'000; ++i) {
        struct address a = at("10.0.0.0");
        a.word[1] += std::uint64_t{i} << 32;
        requests.ask(2, a);
    }
    const std::size_t taken = requests.take().size();
    EXPECT_LE(taken, 1024U);
    EXPECT_GE(taken, 900U);
    EXPECT_EQ(requests.lost(), 100'000 - taken);
}

}  // namespace
}  // namespace sluice::netlink
