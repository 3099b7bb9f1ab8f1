// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/answers.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "dataplane/pipeline/encapsulate.h"

namespace sluice {

namespace {

enum { QUOTE_MAX_IPV4 = 576, QUOTE_MAX_IPV6 = 1280, ANSWER_TTL = 64 };

u32 refusal(u32 answer) {
    if (answer == ANSWER_TTL_EXCEEDED) return drop(REASON_TTL_EXPIRED);
    return drop(answer == ANSWER_TOO_BIG ? REASON_TOO_BIG : REASON_POLICY);
}

bool is_one_station_ipv4(be32 address) {
    const u32 a = from_be32(address);
    const u32 network = a >> 24;
    return network != 0 && network != 127 && network < 224;  // RFC 1122, 3.2.1.3
}

bool is_one_station(const struct address& a) {
    if (address_is_ipv4(&a)) return is_one_station_ipv4(address_to_ipv4(&a));
    const u8* bytes = reinterpret_cast<const u8*>(&a);
    const bool unspecified_or_loopback = a.word[0] == 0 && (a.word[1] == 0 || a.word[1] == 1ULL << 56);
    return bytes[0] != 0xff && !unspecified_or_loopback;
}

// Whether the packet is itself ICMP that no error may be about.
bool is_icmp_error_type(const headers& h) {
    if (h.family == 4) {
        return h.protocol == PROTOCOL_ICMP &&
               (h.icmp_type == ICMP_UNREACHABLE || h.icmp_type == 4 /* quench */ ||
                h.icmp_type == 5 /* redirect */ || h.icmp_type == ICMP_TIME_EXCEEDED ||
                h.icmp_type == ICMP_PARAMETER_PROBLEM);
    }
    return h.protocol == PROTOCOL_ICMPV6 && (h.icmp_type < 128 || h.icmp_type == 137 /* redirect */);
}

bool may_answer(const headers& h) {
    return !(h.flags & HEADER_LATER_FRAGMENT) && !is_icmp_error_type(h) && is_one_station(h.source) &&
           is_one_station(h.destination);
}

bool has_address(const node_port& port, u8 family) {
    return family == 4 ? port.address4.raw != 0 : (port.address6.word[0] | port.address6.word[1]) != 0;
}

// The port whose address speaks for us: the receiving one, else the first that has one. Null: none has.
const node_port* speaker(const struct pipeline& s) {
    const u8 family = s.context->h.family;
    const node_port* own = port_of(&s, s.context->port);
    if (has_address(*own, family)) return own;
    const std::span<const node_port> ports(s.tables.node->ports);
    const auto at = std::find_if(ports.begin(), ports.end(), [&](const node_port& port) {
        return port.ifindex != 0 && has_address(port, family);
    });
    return at == ports.end() ? nullptr : &*at;
}

void turn_link(u8* link) {
    u8 own[6];
    std::memcpy(own, link, 6);
    std::memcpy(link, link + 6, 6);
    std::memcpy(link + 6, own, 6);
}

// From `source` back to where the packet came from; LENGTH bytes of payload follow.
void write_ipv4(u8* at, be32 source, be32 destination, u8 protocol, u32 length) {
    ipv4_header ip{};
    ip.version_length = 0x45;
    ip.total_length = to_be16(static_cast<u16>(length + sizeof ip));
    ip.fragment = to_be16(IPV4_DONT_FRAGMENT);  // atomic, so that identification 0 is right (RFC 6864, 4.1)
    ip.ttl = ANSWER_TTL;
    ip.protocol = protocol;
    ip.source = source;
    ip.destination = destination;
    std::memcpy(at, &ip, sizeof ip);
    const packet header{at, at + sizeof ip, nullptr};
    ip.checksum = static_cast<u16>(~sum_fold(packet_sum(&header, 0, sizeof ip)));
    std::memcpy(at, &ip, sizeof ip);
}

void write_ipv6(u8* at, const struct address& source, const struct address& destination, u8 protocol,
                u32 length) {
    ipv6_header ip{};
    ip.version_class_label = to_be32(6u << 28);
    ip.payload_length = to_be16(static_cast<u16>(length));
    ip.next_header = protocol;
    ip.hop_limit = ANSWER_TTL;
    ipv6_address_store(&ip.source, &source);
    ipv6_address_store(&ip.destination, &destination);
    std::memcpy(at, &ip, sizeof ip);
}

u64 pseudo_sum(const struct address& one, const struct address& other, u8 protocol, u32 length) {
    return sum_of_address(&one) + sum_of_address(&other) + (u64{protocol} << 8) +
           to_be16(static_cast<u16>(length)).raw;
}

bool is_reset(const struct pipeline& s, u32 answer) {
    return answer == ANSWER_POLICY && s.context->h.protocol == PROTOCOL_TCP;
}

// What the sender's stack expects of a port nobody listens on: its acknowledgment back, or its sequence
// acknowledged.
tcp_header reset_for(const headers& h, const tcp_header& tcp) {
    tcp_header reset{};
    reset.source = tcp.destination;
    reset.destination = tcp.source;
    reset.data_offset = 5 << 4;
    if (tcp.flags & TCP_ACK) {
        reset.sequence = tcp.acknowledgment;
        reset.flags = TCP_RST;
        return reset;
    }
    const u32 data = h.end - h.l4 - std::min<u32>((tcp.data_offset >> 4) * 4u, h.end - h.l4);
    const u32 length = data + (tcp.flags & TCP_SYN ? 1 : 0) + (tcp.flags & TCP_FIN ? 1 : 0);
    reset.acknowledgment = to_be32(from_be32(tcp.sequence) + length);
    reset.flags = TCP_RST | TCP_ACK;
    return reset;
}

// In place: the answer is never longer than the packet.
void compose_reset(struct pipeline& s) {
    const headers& h = s.context->h;
    tcp_header tcp;
    std::memcpy(&tcp, s.packet.data + h.l4, sizeof tcp);
    tcp_header reset = reset_for(h, tcp);
    u8* const ip = s.packet.data + h.l3;
    u8* const at = ip + (h.family == 4 ? sizeof(ipv4_header) : sizeof(ipv6_header));
    std::memcpy(at, &reset, sizeof reset);
    const packet segment{at, at + sizeof reset, nullptr};
    const u64 sum = packet_sum(&segment, 0, sizeof reset) +
                    pseudo_sum(h.source, h.destination, PROTOCOL_TCP, sizeof reset);
    reset.checksum = static_cast<u16>(~sum_fold(sum));
    std::memcpy(at, &reset, sizeof reset);
    if (h.family == 4)
        write_ipv4(ip, address_to_ipv4(&h.destination), address_to_ipv4(&h.source), PROTOCOL_TCP,
                   sizeof reset);
    else
        write_ipv6(ip, h.destination, h.source, PROTOCOL_TCP, sizeof reset);
    turn_link(s.packet.data);
    s.packet.end = at + sizeof reset;
}

icmp_header error_header(const pipeline_context& c, u32 answer) {
    const bool ipv4 = c.h.family == 4;
    icmp_header icmp{};
    if (answer == ANSWER_TTL_EXCEEDED) {
        icmp.type = ipv4 ? ICMP_TIME_EXCEEDED : ICMPV6_TIME_EXCEEDED;
    } else if (answer == ANSWER_TOO_BIG) {
        icmp.type = ipv4 ? ICMP_UNREACHABLE : ICMPV6_TOO_BIG;
        icmp.code = ipv4 ? 4 : 0;
        const u32 mtu = ipv4 ? c.limit : std::max<u32>(c.limit, IPV6_LEAST_MTU);  // RFC 2473, 7.1
        icmp.sequence = to_be16(static_cast<u16>(mtu));
    } else {
        icmp.type = ipv4 ? ICMP_UNREACHABLE : ICMPV6_UNREACHABLE;
        icmp.code = ipv4 ? 13 : 1;
    }
    return icmp;
}

// The packet stays where it is as the quotation; headers go before it. False: no room there.
bool compose_error(struct pipeline& s, u32 answer, const node_port& own) {
    const headers& h = s.context->h;
    const bool ipv4 = h.family == 4;
    const u32 ip_length = ipv4 ? sizeof(ipv4_header) : sizeof(ipv6_header);
    const u32 added = ip_length + u32{sizeof(icmp_header)};
    const u32 quoted = std::min<u32>(h.end - h.l3, (ipv4 ? QUOTE_MAX_IPV4 : QUOTE_MAX_IPV6) - added);
    icmp_header icmp = error_header(*s.context, answer);
    if (!packet_resize(&s.packet, -static_cast<int>(added))) return false;
    std::memmove(s.packet.data, s.packet.data + added, h.l3);
    turn_link(s.packet.data);
    u8* const ip = s.packet.data + h.l3;
    u8* const at = ip + ip_length;
    const u32 length = u32{sizeof icmp} + quoted;
    s.packet.end = at + length;
    std::memcpy(at, &icmp, sizeof icmp);
    const packet message{at, s.packet.end, nullptr};
    u64 sum = packet_sum(&message, 0, length);
    if (ipv4) {
        write_ipv4(ip, own.address4, address_to_ipv4(&h.source), PROTOCOL_ICMP, length);
    } else {
        sum += pseudo_sum(own.address6, h.source, PROTOCOL_ICMPV6, length);
        write_ipv6(ip, own.address6, h.source, PROTOCOL_ICMPV6, length);
    }
    icmp.checksum = static_cast<u16>(~sum_fold(sum));
    std::memcpy(at, &icmp, sizeof icmp);
    return true;
}

}  // namespace

Answers::Answers(u32 per_second, u32 burst)
    : cost_ns_(1'000'000'000ULL / std::max(per_second, 1u)), burst_ns_(cost_ns_ * burst) {}

bool Answers::take(u64 now_ns) { return meter_step(&next_ns_, now_ns, cost_ns_, burst_ns_); }

u32 Answers::compose(struct pipeline& s, u32 rejected) {
    const headers& h = s.context->h;
    const u32 answer = detail_of(rejected);
    const bool reset = is_reset(s, answer);
    if (!may_answer(h) || (reset && (h.tcp_flags & TCP_RST))) return refusal(answer);
    const node_port* own = reset ? nullptr : speaker(s);
    if (!reset && own == nullptr) return refusal(answer);
    if (!take(s.tables.now_ns)) return drop(REASON_REJECT_LIMITED);
    if (reset)
        compose_reset(s);
    else if (!compose_error(s, answer, *own))
        return drop(REASON_HEADROOM);
    return rejected;
}

}  // namespace sluice
