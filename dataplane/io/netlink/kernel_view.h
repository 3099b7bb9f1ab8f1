// SPDX-License-Identifier: Apache-2.0
//
// What the kernel knows of this node's links, addresses, routes and neighbours at one moment: plain data, and
// the look-up that the engine needs. A view never changes once built, so any thread may read it.
//
// Routes are those of the tables local and main, in this order, as the kernel's default rules have it;
// routing rules of other kinds are seen by the XDP tier only, which asks the kernel itself.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/packet/address.h"

namespace sluice::netlink {

using Mac = std::array<std::uint8_t, 6>;

struct Link {
    std::uint32_t ifindex = 0;
    std::string name;
    Mac mac{};
    std::uint32_t mtu = 0;     // of the IP packet, bytes
    bool up = false;           // administratively up, with carrier
    std::uint32_t parent = 0;  // ifindex of the device below a VLAN device, else 0
    std::uint16_t vlan = 0;    // its tag, else 0
    bool veth = false;
    bool operator==(const Link&) const = default;
};

struct OwnAddress {
    std::uint32_t ifindex = 0;
    std::array<std::uint64_t, 2> address{};  // words of struct address
    std::uint8_t length = 0;                 // of the network it is on, 0 to 128 (IPv4: 96 more than written)
    bool operator==(const OwnAddress&) const = default;

    struct address value() const {
        return {{address[0], address[1]}};
    }
};

struct Hop {
    std::uint32_t ifindex = 0;
    std::array<std::uint64_t, 2> via{};  // both 0: the destination itself is the neighbour
    std::uint32_t weight = 1;
    bool operator==(const Hop&) const = default;
};

enum class RouteKind : std::uint8_t {
    unicast,
    refused,
    next_table
};  // refused: local, blackhole, unreachable ...

struct Route {
    std::array<std::uint64_t, 2> prefix{};  // words of struct address, host bits zero
    std::uint8_t length = 0;                // 0 to 128; IPv4 routes are 96 and more
    bool ipv4 = false;
    bool local_table = false;
    RouteKind kind = RouteKind::unicast;
    std::uint32_t metric = 0;  // of several with one prefix the least wins
    std::vector<Hop> hops;
    bool operator==(const Route&) const = default;
};

struct Neighbor {
    std::uint32_t ifindex = 0;
    std::array<std::uint64_t, 2> address{};
    Mac mac{};
    bool stale = false;  // valid, but not confirmed for a while
    bool operator==(const Neighbor&) const = default;
};

struct KernelData {
    std::vector<Link> links;
    std::vector<OwnAddress> addresses;
    std::vector<Route> routes;
    std::vector<Neighbor> neighbors;  // those that have a valid link address
};

enum class Reach : std::uint8_t { found, no_route, no_neighbor };

struct RouteAnswer {
    Reach reach = Reach::no_route;
    std::uint32_t ifindex = 0;   // egress interface; 0 for no_route
    std::uint32_t device = 0;    // the same, or the device below it where it is a VLAN device
    std::uint16_t vlan = 0;      // its tag then
    Mac mac{};                   // next hop's; only for found
    struct address next_hop {};  // whose MAC it is, or is missing
};

class KernelView {
public:
    explicit KernelView(KernelData data);

    const KernelData& data() const { return data_; }
    const Link* link(std::uint32_t ifindex) const;
    const Link* link(std::string_view name) const;

    // `hash` picks one of several next hops, by their weights.
    RouteAnswer resolve(const struct address& destination, std::uint32_t hash) const;
    const Neighbor* neighbor(std::uint32_t ifindex, const struct address& address) const;

    // Whether packets would leave in other ways than by `other`: links, routes or neighbours' addresses
    // differ.
    bool forwards_like(const KernelView& other) const;

private:
    struct Key {
        std::uint64_t high, low, extra;
        bool operator==(const Key&) const = default;
    };
    struct KeyHash {
        std::size_t operator()(const Key& key) const;
    };
    // Routes of one table and family: by prefix, and which lengths there are, longest first.
    struct Table {
        std::unordered_map<Key, std::uint32_t, KeyHash> by_prefix;  // index into data_.routes
        std::vector<std::uint8_t> lengths;
    };
    static constexpr std::size_t table_count = 4;  // local or main, IPv4 or IPv6

    static std::size_t table_of(bool local, bool ipv4) { return (local ? 0U : 2U) + (ipv4 ? 0U : 1U); }
    void index_routes();
    const Route* find(const Table& table, const struct address& destination) const;

    KernelData data_;
    std::array<Table, table_count> tables_;
    std::unordered_map<Key, std::uint32_t, KeyHash> neighbors_;
};

}  // namespace sluice::netlink
