// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/probe_frame.h"

#include <cstring>
#include <map>

#include "control/compile/prefix.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/parse.h"

namespace sluice::control {

namespace {

constexpr u8 ttl = 64;
constexpr std::array<u8, 6> sender = {2, 0, 0, 0, 0, 1};

template <typename Header>
void append(std::vector<u8>& bytes, const Header& header) {
    const auto* at = reinterpret_cast<const u8*>(&header);
    bytes.insert(bytes.end(), at, at + sizeof header);
}

std::vector<u8> transport_of(const ProbeFrame& probe) {
    std::vector<u8> bytes;
    if (probe.protocol == PROTOCOL_TCP) {
        tcp_header tcp{};
        tcp.source = to_be16(probe.source.port);
        tcp.destination = to_be16(probe.destination.port);
        tcp.data_offset = sizeof tcp / 4 << 4;
        tcp.flags = TCP_SYN;
        append(bytes, tcp);
    } else if (probe.protocol == PROTOCOL_ICMP || probe.protocol == PROTOCOL_ICMPV6) {
        bytes = {probe.protocol == PROTOCOL_ICMP ? u8{ICMP_ECHO} : u8{ICMPV6_ECHO}, 0, 0, 0, 0, 1, 0, 1};
    } else {
        udp_header udp{};  // SCTP begins with ports, too
        udp.source = to_be16(probe.source.port);
        udp.destination = to_be16(probe.destination.port);
        udp.length = to_be16(probe.protocol == PROTOCOL_UDP ? sizeof udp : 0);
        append(bytes, udp);
        if (probe.protocol == PROTOCOL_SCTP) bytes.resize(12);
    }
    return bytes;
}

void append_ipv4(std::vector<u8>& bytes, const ProbeFrame& probe, size_t payload) {
    ipv4_header ip{};
    const struct address source = compile::to_address(probe.source.address);
    const struct address destination = compile::to_address(probe.destination.address);
    ip.version_length = 0x45;
    ip.total_length = to_be16(static_cast<u16>(sizeof ip + payload));
    ip.ttl = ttl;
    ip.protocol = probe.protocol;
    ip.source = address_to_ipv4(&source);
    ip.destination = address_to_ipv4(&destination);
    std::array<u16, sizeof ip / 2> words{};
    std::memcpy(words.data(), &ip, sizeof ip);
    u64 sum = 0;
    for (const u16 word : words) sum += word;
    ip.checksum = static_cast<u16>(~sum_fold(sum));
    append(bytes, ip);
}

void append_ipv6(std::vector<u8>& bytes, const ProbeFrame& probe, size_t payload) {
    ipv6_header ip{};
    ip.version_class_label = to_be32(6U << 28);
    ip.payload_length = to_be16(static_cast<u16>(payload));
    ip.next_header = probe.protocol;
    ip.hop_limit = ttl;
    std::memcpy(&ip.source, probe.source.address.bytes.data(), sizeof ip.source);
    std::memcpy(&ip.destination, probe.destination.address.bytes.data(), sizeof ip.destination);
    append(bytes, ip);
}

Result<config::Endpoint> end_of(const std::string& text, bool ports, const char* what) {
    if (const auto endpoint = config::Endpoint::parse(text)) return *endpoint;
    const auto address = config::Address::parse(text);
    if (address && !ports) return config::Endpoint{*address, 0};
    return make_error(
        "{}: value \"{}\": expected {}", what, text,
        ports ? "an address and a port such as 10.0.0.2:4242 or [2001:db8::2]:4242" : "an address");
}

}  // namespace

Result<ProbeFrame> parse_probe(const std::string& protocol, const std::string& source,
                               const std::string& destination) {
    static const std::map<std::string, u8> protocols = {{"tcp", PROTOCOL_TCP},
                                                        {"udp", PROTOCOL_UDP},
                                                        {"sctp", PROTOCOL_SCTP},
                                                        {"icmp", PROTOCOL_ICMP},
                                                        {"icmpv6", PROTOCOL_ICMPV6}};
    const auto at = protocols.find(protocol);
    if (at == protocols.end())
        return make_error("protocol: value \"{}\": expected tcp, udp, sctp, icmp or icmpv6", protocol);
    ProbeFrame probe;
    probe.protocol = at->second;
    const bool ports = !protocol.starts_with("icmp");
    const Result<config::Endpoint> from = end_of(source, ports, "source");
    if (!from) return from.error();
    const Result<config::Endpoint> to = end_of(destination, ports, "destination");
    if (!to) return to.error();
    if (from->address.is_v4() != to->address.is_v4())
        return make_error("destination: value \"{}\": expected an address of the source's family",
                          destination);
    if (!ports && (probe.protocol == PROTOCOL_ICMP) != from->address.is_v4())
        return make_error("protocol: value \"{}\": expected icmp for IPv4, icmpv6 for IPv6", protocol);
    probe.source = *from;
    probe.destination = *to;
    return probe;
}

std::vector<u8> frame_of(const ProbeFrame& probe) {
    const std::vector<u8> transport = transport_of(probe);
    std::vector<u8> bytes(probe.station.begin(), probe.station.end());
    bytes.insert(bytes.end(), sender.begin(), sender.end());
    if (probe.vlan != 0) {
        append(bytes, to_be16(ETHER_VLAN));
        append(bytes, to_be16(probe.vlan));
    }
    const bool v4 = probe.source.address.is_v4();
    append(bytes, to_be16(v4 ? ETHER_IPV4 : ETHER_IPV6));
    v4 ? append_ipv4(bytes, probe, transport.size()) : append_ipv6(bytes, probe, transport.size());
    bytes.insert(bytes.end(), transport.begin(), transport.end());
    return bytes;
}

}  // namespace sluice::control
