// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/probe.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "control/sizing/sizing.h"
#include "control/sluicectl/table.h"
#include "dataplane/base/fd.h"
#include "dataplane/io/netlink/device_queues.h"
#include "dataplane/placement/huge_pages.h"

namespace sluice::ctl {

namespace {

constexpr double mebibyte = 1 << 20;

u32 mtu_of(const std::string& device) {
    const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    device.copy(request.ifr_name, IFNAMSIZ - 1);
    const bool told = any && ioctl(any.get(), SIOCGIFMTU, &request) == 0;
    return told && request.ifr_mtu > 0 ? static_cast<u32>(request.ifr_mtu) : 1500;
}

control::DeviceFacts facts_of(const std::string& device) {
    if (device.find(':') != std::string::npos)
        return {pci_node(device.substr(0, device.find(','))), 1, 1500, false};
    return {pci_node(netlink::bus_address(device)), netlink::receive_queues(device), mtu_of(device),
            netlink::receives_in_kibibytes(device)};
}

std::string number(const Json& value) { return fmt::to_string(value.get<u64>()); }

}  // namespace

Result<Json> probe_huge_pages(const config::Config& config) {
    const Result<Topology> topology = read_topology();
    if (!topology) return topology.error();
    const auto needs = control::buffer_needs(config, facts_of);
    const auto nodes = control::by_node(needs, topology->nodes.front().id);
    const auto pools = read_huge_pages();
    Json out = {{"interfaces", Json::array()},
                {"nodes", Json::array()},
                {"reserved", Json::array()},
                {"mounts", Json::array()},
                {"missing", huge_page_shortfalls(pools, nodes)}};
    for (const control::BufferNeed& need : needs) {
        out["interfaces"].push_back({{"name", need.interface},
                                     {"tier", need.dpdk ? "dpdk" : "af_xdp"},
                                     {"node", need.node ? Json(*need.node) : Json(nullptr)},
                                     {"queues", need.queues},
                                     {"bytes", need.bytes}});
    }
    for (const HugePageNeed& need : nodes)
        out["nodes"].push_back({{"node", need.node}, {"bytes", need.bytes}, {"pages_2m", need.bytes >> 21}});
    for (const HugePagePool& pool : pools) {
        out["reserved"].push_back({{"node", pool.node},
                                   {"size", page_size_text(pool.page_bytes)},
                                   {"total", pool.total},
                                   {"free", pool.free}});
    }
    for (const HugePageMount& mount : read_huge_page_mounts())
        out["mounts"].push_back({{"path", mount.path}, {"size", page_size_text(mount.page_bytes)}});
    return out;
}

std::string huge_pages_text(const Json& probe) {
    Table interfaces({{"interface"}, {"tier"}, {"node", true}, {"queues", true}, {"MiB", true}});
    for (const Json& each : probe.at("interfaces")) {
        interfaces.add({each.at("name").get<std::string>(), each.at("tier").get<std::string>(),
                        each.at("node").is_null() ? "-" : number(each.at("node")), number(each.at("queues")),
                        fmt::format("{:.0f}", each.at("bytes").get<double>() / mebibyte)});
    }
    Table pools({{"node", true}, {"page"}, {"reserved", true}, {"free", true}});
    for (const Json& pool : probe.at("reserved"))
        pools.add({number(pool.at("node")), pool.at("size").get<std::string>(), number(pool.at("total")),
                   number(pool.at("free"))});
    std::string out = "packet buffers:\n" + (interfaces.empty() ? "  none\n" : interfaces.text(2));
    for (const Json& node : probe.at("nodes"))
        out += fmt::format("node {}: {} pages of 2M\n", number(node.at("node")), number(node.at("pages_2m")));
    out += "huge pages of this machine:\n" +
           (pools.empty() ? "  none: the kernel has no huge pages\n" : pools.text(2));
    for (const Json& mount : probe.at("mounts"))
        out += fmt::format("mounted: {} ({})\n", mount.at("path").get<std::string>(),
                           mount.at("size").get<std::string>());
    if (probe.at("missing").empty()) return out + "enough\n";
    out += "missing:\n";
    for (const Json& line : probe.at("missing")) out += wrapped(line.get<std::string>(), 2);
    return out;
}

}  // namespace sluice::ctl
