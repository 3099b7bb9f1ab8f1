// SPDX-License-Identifier: Apache-2.0
//
// Packets for tests, built from the inside out, and a naive reader that recomputes every checksum:
//
//     ethernet(ipv4({.source = "203.0.113.7", .destination = "192.0.2.10"}, tcp({.destination_port = 80})))
#pragma once

#include <arpa/inet.h>

#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/packet/headers.h"
#include "dataplane/packet/parse.h"

namespace sluice::test {

using Bytes = std::vector<u8>;

inline Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

inline Bytes text(std::string_view content) { return {content.begin(), content.end()}; }

template <typename T>
Bytes bytes_of(const T& header) {
    Bytes out(sizeof header);
    std::memcpy(out.data(), &header, sizeof header);
    return out;
}

inline u16 get16(const Bytes& b, size_t at) { return static_cast<u16>(b.at(at) << 8 | b.at(at + 1)); }
inline u32 get32(const Bytes& b, size_t at) { return u32{get16(b, at)} << 16 | get16(b, at + 2); }
inline void put16(Bytes& b, size_t at, u16 value) {
    b.at(at) = static_cast<u8>(value >> 8);
    b.at(at + 1) = static_cast<u8>(value);
}

inline Bytes address_bytes(const std::string& written) {
    Bytes out(written.find(':') == std::string::npos ? 4 : 16);
    inet_pton(out.size() == 4 ? AF_INET : AF_INET6, written.c_str(), out.data());
    return out;
}

// RFC 1071 as it is written down: 16-bit words, carries folded at the end.
inline u16 naive_checksum(const Bytes& content) {
    u32 sum = 0;
    for (size_t i = 0; i < content.size(); i += 2)
        sum += static_cast<u32>(content[i] << 8) + (i + 1 < content.size() ? content[i + 1] : 0u);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<u16>(~sum);
}

inline Bytes pseudo_header(const Bytes& source, const Bytes& destination, u8 protocol, size_t length) {
    return source + destination + Bytes{0, protocol, static_cast<u8>(length >> 8), static_cast<u8>(length)};
}

// --- transport: bytes, protocol, and where the checksum that covers them lies ---

struct Transport {
    u8 protocol = 0;
    Bytes bytes;
    int checksum_at = -1;  // -1: none to fill in
};

struct TcpFields {
    u16 source_port = 40000;
    u16 destination_port = 80;
    u32 sequence = 1000;
    u32 acknowledgment = 0;
    u8 flags = TCP_SYN;
    std::string payload = "";
};

inline Transport tcp(const TcpFields& f = {}) {
    tcp_header h{};
    h.source = to_be16(f.source_port);
    h.destination = to_be16(f.destination_port);
    h.sequence = to_be32(f.sequence);
    h.acknowledgment = to_be32(f.acknowledgment);
    h.data_offset = 5 << 4;
    h.flags = f.flags;
    h.window = to_be16(8192);
    return {PROTOCOL_TCP, bytes_of(h) + text(f.payload), 16};
}

struct UdpFields {
    u16 source_port = 40000;
    u16 destination_port = 53;
    std::string payload = "question";
    bool checksum = true;
};

inline Transport udp(const UdpFields& f = {}) {
    udp_header h{};
    h.source = to_be16(f.source_port);
    h.destination = to_be16(f.destination_port);
    h.length = to_be16(static_cast<u16>(sizeof h + f.payload.size()));
    return {PROTOCOL_UDP, bytes_of(h) + text(f.payload), f.checksum ? 6 : -1};
}

inline Transport icmp(u8 protocol, u8 type, u8 code, u16 id, u16 sequence, const Bytes& payload = {}) {
    icmp_header h{};
    h.type = type;
    h.code = code;
    h.id = to_be16(id);
    h.sequence = to_be16(sequence);
    return {protocol, bytes_of(h) + payload, 2};
}

// --- network ---

struct Ipv4Fields {
    std::string source = "203.0.113.7";
    std::string destination = "192.0.2.10";
    u8 ttl = 64;
    u8 tos = 0;
    u16 id = 1;
    u16 fragment = 0;  // flags and offset / 8
    Bytes options = {};
};

inline void fill_checksum(Bytes& content, int at, const Bytes& source, const Bytes& destination,
                          u8 protocol) {
    if (at < 0) return;
    put16(content, static_cast<size_t>(at), 0);
    const Bytes pseudo =
        protocol == PROTOCOL_ICMP ? Bytes{} : pseudo_header(source, destination, protocol, content.size());
    u16 checksum = naive_checksum(pseudo + content);
    if (checksum == 0 && protocol == PROTOCOL_UDP) checksum = 0xffff;
    put16(content, static_cast<size_t>(at), checksum);
}

inline Bytes ipv4(const Ipv4Fields& f, Transport inner) {
    const Bytes source = address_bytes(f.source), destination = address_bytes(f.destination);
    fill_checksum(inner.bytes, inner.checksum_at, source, destination, inner.protocol);
    ipv4_header h{};
    h.version_length = static_cast<u8>(0x45 + f.options.size() / 4);
    h.tos = f.tos;
    h.total_length = to_be16(static_cast<u16>(sizeof h + f.options.size() + inner.bytes.size()));
    h.id = to_be16(f.id);
    h.fragment = to_be16(f.fragment);
    h.ttl = f.ttl;
    h.protocol = inner.protocol;
    std::memcpy(&h.source, source.data(), 4);
    std::memcpy(&h.destination, destination.data(), 4);
    Bytes header = bytes_of(h) + f.options;
    put16(header, 10, naive_checksum(header));
    return header + inner.bytes;
}

struct Ipv6Fields {
    std::string source = "2001:db8:7::7";
    std::string destination = "2001:db8::10";
    u8 hop_limit = 64;
    u8 traffic_class = 0;
    u8 extension = 0;       // next header of the fixed header, when `extensions` is not empty
    Bytes extensions = {};  // their last next-header field must name the transport
};

inline Bytes ipv6(const Ipv6Fields& f, Transport inner) {
    const Bytes source = address_bytes(f.source), destination = address_bytes(f.destination);
    fill_checksum(inner.bytes, inner.checksum_at, source, destination, inner.protocol);
    ipv6_header h{};
    h.version_class_label = to_be32(6u << 28 | u32{f.traffic_class} << 20);
    h.payload_length = to_be16(static_cast<u16>(f.extensions.size() + inner.bytes.size()));
    h.next_header = f.extensions.empty() ? inner.protocol : f.extension;
    h.hop_limit = f.hop_limit;
    std::memcpy(&h.source, source.data(), 16);
    std::memcpy(&h.destination, destination.data(), 16);
    return bytes_of(h) + f.extensions + inner.bytes;
}

// --- link ---

struct EthernetFields {
    Bytes destination = {2, 0, 0, 0, 0, 1};
    Bytes source = {2, 0, 0, 0, 0, 0x77};
    std::vector<u16> vlans = {};
};

inline Bytes ethernet(const Bytes& packet, const EthernetFields& f = {}) {
    Bytes out = f.destination + f.source;
    for (const u16 vlan : f.vlans)
        out = out + Bytes{0x81, 0, static_cast<u8>(vlan >> 8), static_cast<u8>(vlan)};
    const bool v6 = !packet.empty() && packet[0] >> 4 == 6;
    return out + (v6 ? Bytes{0x86, 0xdd} : Bytes{0x08, 0}) + packet;
}

// A datagram cut into IPv4 fragments of at most `size` payload bytes (a multiple of 8).
inline std::vector<Bytes> fragments_of(const Ipv4Fields& f, Transport inner, size_t size) {
    fill_checksum(inner.bytes, inner.checksum_at, address_bytes(f.source), address_bytes(f.destination),
                  inner.protocol);
    std::vector<Bytes> out;
    for (size_t at = 0; at < inner.bytes.size(); at += size) {
        const size_t end = std::min(at + size, inner.bytes.size());
        Ipv4Fields part = f;
        part.fragment = static_cast<u16>(at / 8 | (end < inner.bytes.size() ? IPV4_MORE_FRAGMENTS : 0));
        out.push_back(ipv4(part, {inner.protocol,
                                  Bytes(inner.bytes.begin() + static_cast<long>(at),
                                        inner.bytes.begin() + static_cast<long>(end)),
                                  -1}));
    }
    return out;
}

// What is wrong with the checksums of a packet that starts with its IP header, "" if nothing is: the
// header's, the transport's, those of an IP packet inside.
inline std::string checksum_faults(const Bytes& packet) {
    const bool v4 = packet.at(0) >> 4 == 4;
    const size_t l4 = v4 ? (packet[0] & 15u) * 4 : 40;
    const size_t end = v4 ? get16(packet, 2) : 40u + get16(packet, 4);
    if (end > packet.size()) return "cut short";
    if (v4 && naive_checksum(Bytes(packet.begin(), packet.begin() + static_cast<long>(l4))) != 0)
        return "IPv4 header";
    if (v4 && (get16(packet, 6) & 0x3fff) != 0) return "";
    const u8 protocol = v4 ? packet[9] : packet[6];
    const Bytes content(packet.begin() + static_cast<long>(l4), packet.begin() + static_cast<long>(end));
    if (protocol == PROTOCOL_IPIP || protocol == PROTOCOL_IPV6) return checksum_faults(content);
    const size_t at = v4 ? 12 : 8, width = v4 ? 4 : 16;
    const auto addresses = packet.begin() + static_cast<long>(at);
    Bytes pseudo(addresses, addresses + static_cast<long>(2 * width));
    pseudo =
        pseudo + Bytes{0, protocol, static_cast<u8>(content.size() >> 8), static_cast<u8>(content.size())};
    if (protocol == PROTOCOL_UDP && get16(content, 6) == 0) return "";
    if (protocol == PROTOCOL_ICMP) pseudo.clear();
    return naive_checksum(pseudo + content) == 0 ? "" : "transport " + std::to_string(protocol);
}

}  // namespace sluice::test
