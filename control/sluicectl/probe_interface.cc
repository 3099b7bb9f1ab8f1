// SPDX-License-Identifier: Apache-2.0
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "control/sluicectl/device_facts.h"
#include "control/sluicectl/probe_machine.h"
#include "dataplane/io/interception/ingress_guard.h"
#include "dataplane/io/netlink/device_queues.h"
#include "dataplane/io/packet_socket/packet_ring.h"
#include "dataplane/placement/topology.h"

namespace sluice::ctl {

namespace {

namespace fs = std::filesystem;

constexpr unsigned largest_single_buffer = 3498;  // a page less headroom and the kernel's own trailer
constexpr unsigned widest_tunnel = 48;            // IPv6 and UDP around a packet: dsr_gue

int number_in(const std::string& file) {
    std::ifstream in(file);
    int value = -1;
    in >> value;
    return value;
}

Json native_check(const DeviceFacts& facts) {
    if (!facts.features)
        return check("native XDP", "unknown",
                     fmt::format("driver {}; the kernel does not tell (before 6.3)", facts.driver),
                     "the daemon tries, and status says which mode it got");
    const XdpFeatures& has = *facts.features;
    const std::string found = fmt::format(
        "driver {}: programs {}, redirect {}, takes redirected frames {}, several buffers {}, in hardware {}",
        facts.driver.empty() ? "unnamed" : facts.driver, has.basic ? "yes" : "no",
        has.redirect ? "yes" : "no", has.receives ? "yes" : "no", has.fragments ? "yes" : "no",
        has.hardware ? "yes" : "no");
    if (!has.basic || !has.redirect)
        return check("native XDP", false, found,
                     "generic XDP is used, which is slower; a driver with XDP, or DPDK, is not");
    const char* const remedy = facts.driver == "veth"
                                   ? "ethtool -K gro on at the other end, or an XDP program there"
                                   : "attach a program to it, too";
    return check("native XDP", has.receives ? "pass" : "note", found, has.receives ? "" : remedy);
}

Json zero_copy_check(const std::string& name, const DeviceFacts& facts, bool try_it) {
    if (try_it) {
        const Status status = try_zero_copy(name, 0);
        return check("zero-copy", status.ok() ? "pass" : "note",
                     status ? "a socket on queue 0 was had, and given back" : status.error().message,
                     status ? "" : "XDP sockets copy");
    }
    if (!facts.features)
        return check("zero-copy", "unknown", "the kernel does not tell (before 6.3)", "ask with --try");
    return check("zero-copy", facts.features->zero_copy ? "pass" : "note",
                 facts.features->zero_copy ? "the driver says yes" : "the driver says no",
                 facts.features->zero_copy ? "--try asks for a socket" : "XDP sockets copy");
}

// A ring that shows nothing, and a table that keeps nothing away: both go at once.
Json packet_check(const std::string& name) {
    PacketRingOptions options;
    options.blocks = 2;
    const auto ring = PacketRing::open(name, if_nametoindex(name.c_str()), options);
    Status status = ring ? Status{} : Status{ring.error()};
    if (status) status = IngressGuard::probe(name);
    return check(
        "packet sockets", status.ok() ? "pass" : "note",
        status ? "a ring was had and an nftables table at ingress, and given back" : status.error().message,
        status ? "" : "packets go to the host where neither XDP nor DPDK serves");
}

Json mtu_check(const DeviceFacts& facts) {
    const bool fits = facts.mtu <= largest_single_buffer || (facts.features && facts.features->fragments);
    const std::string room = facts.mtu > widest_tunnel
                                 ? fmt::format("{}; in tunnels whole up to {} (ipip), {} (gue over IPv6)",
                                               facts.mtu, facts.mtu - 20, facts.mtu - widest_tunnel)
                                 : fmt::to_string(facts.mtu);
    return check(
        "MTU", fits ? "pass" : "fail", room,
        fits ? "" : fmt::format("at most {}: native XDP takes a frame in one buffer", largest_single_buffer));
}

Json offload_check(const DeviceFacts& facts) {
    const auto word = [](const char* name, const Offload& offload) {
        return fmt::format("{} {}", name, !offload.known ? "?" : offload.on ? "on" : "off");
    };
    const std::string found = fmt::format("{}, {}, {}, {}, {}", word("tx-checksum", facts.tx_checksum),
                                          word("rx-checksum", facts.rx_checksum), word("tso", facts.tso),
                                          word("gso", facts.gso), word("gro", facts.gro));
    const bool local = facts.driver == "veth" && (facts.tx_checksum.on || facts.tso.on);
    return check("offloads", local ? "note" : "pass", found,
                 local ? "on veth the sending end: ethtool -K tx off tso off gso off (docs/demo.md)" : "");
}

// The stricter of the device's and of all, as the kernel takes it (ip-sysctl).
Json rp_filter_check(const std::string& name) {
    const std::string root = "/proc/sys/net/ipv4/conf/";
    const int value = std::max(number_in(root + name + "/rp_filter"), number_in(root + "all/rp_filter"));
    const char* const words[] = {"off", "strict", "loose"};
    if (value < 0 || value > 2) return check("rp_filter", "unknown", "not to be read");
    return check("rp_filter", value != 1, words[value],
                 fmt::format("sysctl net.ipv4.conf.{}.rp_filter=2 (and conf.all): packets that are passed to "
                             "the host by another "
                             "way than their answers take are dropped",
                             name));
}

Json device_check(const std::string& name) {
    std::error_code error;
    const std::string bus = netlink::bus_address(name);
    const auto node = pci_node(bus);
    const fs::path group =
        fs::read_symlink("/sys/class/net/" + name + "/device/iommu_group", error).filename();
    return check("device", "note",
                 bus.empty()
                     ? "none behind it"
                     : fmt::format("{}, NUMA node {}, IOMMU group {}", bus,
                                   node ? fmt::to_string(*node) : "none", error ? "none" : group.string()));
}

}  // namespace

Json probe_interface(const std::string& name, bool try_sockets) {
    const Result<DeviceFacts> facts = device_facts(name);
    if (!facts)
        return Json::array(
            {check("interface", false, facts.error().message, "ip link shows those that are there")});
    const u32 queues = netlink::receive_queues(name);
    Json checks = Json::array();
    checks.push_back(
        check("link", facts->up, facts->up ? "up" : "down", fmt::format("ip link set {} up", name)));
    checks.push_back(device_check(name));
    checks.push_back(native_check(*facts));
    checks.push_back(check("queues", "note", fmt::format("{} to receive", queues),
                           queues == 1 ? "one worker at most; ethtool -L gives a device more" : ""));
    checks.push_back(zero_copy_check(name, *facts, try_sockets));
    checks.push_back(packet_check(name));
    checks.push_back(mtu_check(*facts));
    checks.push_back(offload_check(*facts));
    checks.push_back(check("LRO", !facts->lro.on, facts->lro.on ? "on" : "off",
                           fmt::format("ethtool -K {} lro off", name)));
    checks.push_back(rp_filter_check(name));
    return checks;
}

}  // namespace sluice::ctl
