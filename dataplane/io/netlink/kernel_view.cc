// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/netlink/kernel_view.h"

#include <algorithm>
#include <tuple>

namespace sluice::netlink {

namespace {

const Hop& pick(const Route& route, std::uint32_t hash) {
    std::uint64_t total = 0;
    for (const Hop& hop : route.hops) total += hop.weight;
    std::uint64_t wanted = (std::uint64_t{hash} * total) >> 32;
    for (const Hop& hop : route.hops) {
        if (wanted < hop.weight) return hop;
        wanted -= hop.weight;
    }
    return route.hops.back();
}

}  // namespace

std::size_t KernelView::KeyHash::operator()(const Key& key) const {
    std::uint64_t h = (key.high ^ (key.extra * 0x9e3779b97f4a7c15ULL)) * 0xbf58476d1ce4e5b9ULL;
    h = (h ^ (h >> 32) ^ key.low) * 0x94d049bb133111ebULL;
    return static_cast<std::size_t>(h ^ (h >> 29));
}

KernelView::KernelView(KernelData data) : data_(std::move(data)) {
    const auto by_index = [](const auto& a, const auto& b) { return a.ifindex < b.ifindex; };
    std::sort(data_.links.begin(), data_.links.end(), by_index);
    // Stable: of an interface's addresses the kernel's first one stays the first.
    std::stable_sort(data_.addresses.begin(), data_.addresses.end(), by_index);
    std::sort(data_.routes.begin(), data_.routes.end(), [](const Route& a, const Route& b) {
        return std::tie(a.local_table, a.ipv4, a.prefix, a.length, a.metric) <
               std::tie(b.local_table, b.ipv4, b.prefix, b.length, b.metric);
    });
    std::sort(data_.neighbors.begin(), data_.neighbors.end(), [](const Neighbor& a, const Neighbor& b) {
        return std::tie(a.ifindex, a.address) < std::tie(b.ifindex, b.address);
    });
    index_routes();
    for (std::uint32_t i = 0; i < data_.neighbors.size(); ++i) {
        const Neighbor& neighbor = data_.neighbors[i];
        neighbors_.emplace(Key{neighbor.address[0], neighbor.address[1], neighbor.ifindex}, i);
    }
}

void KernelView::index_routes() {
    for (std::uint32_t i = 0; i < data_.routes.size(); ++i) {
        const Route& route = data_.routes[i];
        Table& table = tables_[table_of(route.local_table, route.ipv4)];
        // Routes are in order of metric, and emplace keeps the first.
        table.by_prefix.emplace(Key{route.prefix[0], route.prefix[1], route.length}, i);
        table.lengths.push_back(route.length);
    }
    for (Table& table : tables_) {
        std::sort(table.lengths.begin(), table.lengths.end(), std::greater<>());
        table.lengths.erase(std::unique(table.lengths.begin(), table.lengths.end()), table.lengths.end());
    }
}

const Link* KernelView::link(std::uint32_t ifindex) const {
    const auto at =
        std::lower_bound(data_.links.begin(), data_.links.end(), ifindex,
                         [](const Link& link, std::uint32_t wanted) { return link.ifindex < wanted; });
    return at != data_.links.end() && at->ifindex == ifindex ? &*at : nullptr;
}

const Link* KernelView::link(std::string_view name) const {
    const auto at = std::find_if(data_.links.begin(), data_.links.end(),
                                 [&](const Link& link) { return link.name == name; });
    return at == data_.links.end() ? nullptr : &*at;
}

const Route* KernelView::find(const Table& table, const struct address& destination) const {
    for (const std::uint8_t length : table.lengths) {
        const struct address cut = address_masked(&destination, length);
        const auto at = table.by_prefix.find(Key{cut.word[0], cut.word[1], length});
        if (at != table.by_prefix.end()) return &data_.routes[at->second];
    }
    return nullptr;
}

RouteAnswer KernelView::resolve(const struct address& destination, std::uint32_t hash) const {
    const bool ipv4 = address_is_ipv4(&destination);
    const Route* route = nullptr;
    for (const bool local : {true, false}) {
        route = find(tables_[table_of(local, ipv4)], destination);
        if (route != nullptr && route->kind != RouteKind::next_table) break;
    }
    if (route == nullptr || route->kind != RouteKind::unicast || route->hops.empty()) return {};
    const Hop& hop = pick(*route, hash);
    RouteAnswer answer;
    answer.ifindex = hop.ifindex;
    const Link* egress = link(hop.ifindex);
    answer.device = egress != nullptr && egress->parent != 0 ? egress->parent : hop.ifindex;
    answer.vlan = egress != nullptr ? egress->vlan : 0;
    answer.next_hop = {{hop.via[0], hop.via[1]}};
    if ((hop.via[0] | hop.via[1]) == 0) answer.next_hop = destination;
    const Neighbor* known = neighbor(hop.ifindex, answer.next_hop);
    answer.reach = known != nullptr ? Reach::found : Reach::no_neighbor;
    if (known != nullptr) answer.mac = known->mac;
    return answer;
}

const Neighbor* KernelView::neighbor(std::uint32_t ifindex, const struct address& address) const {
    const auto at = neighbors_.find(Key{address.word[0], address.word[1], ifindex});
    return at == neighbors_.end() ? nullptr : &data_.neighbors[at->second];
}

bool KernelView::forwards_like(const KernelView& other) const {
    const auto same = [](const Neighbor& a, const Neighbor& b) {
        return a.ifindex == b.ifindex && a.address == b.address && a.mac == b.mac;
    };
    return data_.links == other.data_.links && data_.routes == other.data_.routes &&
           std::equal(data_.neighbors.begin(), data_.neighbors.end(), other.data_.neighbors.begin(),
                      other.data_.neighbors.end(), same);
}

}  // namespace sluice::netlink
