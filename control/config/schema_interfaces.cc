// SPDX-License-Identifier: Apache-2.0
#include "control/config/schema.h"

namespace sluice::config {

namespace {

const Schema<DpdkPort>& dpdk_schema() {
    static const auto schema = Schema<DpdkPort>("A port that a DPDK poll-mode driver owns.")
                                   .key("device", &DpdkPort::device,
                                        any_text("a PCI address or a virtual device with its arguments"),
                                        required, "the device, as DPDK names it")
                                   .key("rx_queues", &DpdkPort::rx_queues, integer<uint32_t>(1, 256), "1",
                                        "receive queues, one worker each")
                                   .key("rx_descriptors", &DpdkPort::rx_descriptors,
                                        integer<uint32_t>(64, 32768), "1024", "length of each receive ring")
                                   .key("host_path", &DpdkPort::host_path,
                                        one_of<HostPath>({{"none", HostPath::none}, {"tap", HostPath::tap}}),
                                        "none", "device by which the port's host traffic reaches the kernel");
    return schema;
}

Codec<std::vector<Tier>> tiers() {
    return list(
        one_of<Tier>(
            {{"dpdk", Tier::dpdk}, {"xdp", Tier::xdp}, {"af_xdp", Tier::af_xdp}, {"epoll", Tier::epoll}}),
        Empty::refused);
}

Codec<std::vector<Requirement>> requirements() {
    return list(one_of<Requirement>({{"xdp_native", Requirement::xdp_native},
                                     {"af_xdp", Requirement::af_xdp},
                                     {"af_xdp_zero_copy", Requirement::af_xdp_zero_copy},
                                     {"dpdk", Requirement::dpdk}}));
}

// "2-5,8", as the numbers themselves.
std::optional<std::vector<uint32_t>> parse_cores(std::string_view text) {
    const auto ranges = parse_ranges(text, 0, 1023);
    if (!ranges || ranges->empty()) return std::nullopt;
    std::vector<uint32_t> cores;
    for (const PortRange& range : *ranges) {
        for (uint32_t core = range.lo; core <= range.hi; ++core) cores.push_back(core);
    }
    return cores;
}

}  // namespace

const Schema<Interface>& interface_schema() {
    static const auto schema =
        Schema<Interface>(
            "An interface that sluice drives, or one of its VLAN sub-interfaces (`eth0.200` beside "
            "`eth0`), which takes `name` and `addresses` only.")
            .key("name", &Interface::name, interface_name(), required,
                 "the kernel's name, or a DPDK port's own")
            .key("tiers", &Interface::tiers, automatic(tiers()), "auto",
                 "tiers to try, in order of preference")
            .key("require", &Interface::require, requirements(), "[]", "refuse to start without these")
            .key("queues", &Interface::queues, automatic(integer<uint32_t>(1, 256)), "auto",
                 "queues served; auto: all the device has")
            .key("vlan", &Interface::vlan, list(integer<uint16_t>(1, 4094)), "[]",
                 "tags accepted as sub-interfaces; untagged is always accepted, and the tag of a "
                 "sub-interface that "
                 "is listed under `interfaces` as well")
            .key("mac", &Interface::mac, automatic(mac_address()), "auto", "auto: the device's")
            .key("mtu", &Interface::mtu, automatic(integer<uint32_t>(68, 65535)), "auto",
                 "auto: the device's (replay: 1500)")
            .key("addresses", &Interface::addresses, automatic(list(interface_address())), "auto",
                 "the node's own addresses; traffic to them passes to the host. auto: the kernel's")
            .key("promiscuous", &Interface::promiscuous, boolean(), "false",
                 "false: frames to another MAC pass to the host untouched")
            .key("dpdk", &Interface::dpdk, optional(mapping(dpdk_schema())), none, "makes this a DPDK port");
    return schema;
}

const Schema<Workers>& workers_schema() {
    static const auto schema =
        Schema<Workers>("The threads that run the engine.")
            .key("cores", &Workers::cores,
                 automatic(scalar<std::vector<uint32_t>>("a list of cores such as \"2-5,8\"", parse_cores)),
                 "auto", "cores to pin workers to")
            .key("numa", &Workers::numa, automatic(boolean()), "auto",
                 "true: a worker runs, and its memory lies, on its port's node")
            .key("poll", &Workers::poll,
                 one_of<Poll>(
                     {{"adaptive", Poll::adaptive}, {"busy", Poll::busy}, {"interrupt", Poll::interrupt}}),
                 "adaptive", "how a worker waits for packets")
            .key("batch", &Workers::batch, integer<uint32_t>(1, 256), "64", "packets taken at once")
            .key("prefetch", &Workers::prefetch, boolean(), "true", "prefetch table entries for a batch");
    return schema;
}

}  // namespace sluice::config
