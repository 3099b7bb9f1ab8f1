// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Headers as they lie on the wire.
#ifndef SLUICE_PACKET_HEADERS_H
#define SLUICE_PACKET_HEADERS_H

#include "dataplane/packet/endian.h"

SHARED_BEGIN

struct WIRE ethernet_header {
    u8 destination[6];
    u8 source[6];
    struct be16 type;
};

struct WIRE vlan_tag {  // IEEE 802.1Q: what follows the type 0x8100 or 0x88a8
    struct be16 control;
    struct be16 type;
};

struct WIRE ipv4_header {  // RFC 791, 3.1
    u8 version_length;
    u8 tos;
    struct be16 total_length;
    struct be16 id;
    struct be16 fragment;
    u8 ttl;
    u8 protocol;
    u16 checksum;
    struct be32 source;
    struct be32 destination;
};

struct WIRE ipv6_address {
    u32 word[4];
};

struct WIRE ipv6_header {  // RFC 8200, 3
    struct be32 version_class_label;
    struct be16 payload_length;
    u8 next_header;
    u8 hop_limit;
    struct ipv6_address source;
    struct ipv6_address destination;
};

struct WIRE ipv6_fragment_header {  // RFC 8200, 4.5
    u8 next_header;
    u8 reserved;
    struct be16 offset_flags;
    struct be32 id;
};

struct WIRE tcp_header {  // RFC 9293, 3.1
    struct be16 source;
    struct be16 destination;
    struct be32 sequence;
    struct be32 acknowledgment;
    u8 data_offset;
    u8 flags;
    struct be16 window;
    u16 checksum;
    struct be16 urgent;
};

struct WIRE udp_header {  // RFC 768
    struct be16 source;
    struct be16 destination;
    struct be16 length;
    u16 checksum;
};

struct WIRE icmp_header {  // RFC 792, RFC 4443; the rest is id and sequence of an echo, or the word before a
                           // quoted packet
    u8 type;
    u8 code;
    u16 checksum;
    struct be16 id;
    struct be16 sequence;
};

SHARED_ASSERT(sizeof(struct ethernet_header) == 14, "wire size");
SHARED_ASSERT(sizeof(struct ipv4_header) == 20, "wire size");
SHARED_ASSERT(sizeof(struct ipv6_header) == 40, "wire size");
SHARED_ASSERT(sizeof(struct ipv6_fragment_header) == 8, "wire size");
SHARED_ASSERT(sizeof(struct tcp_header) == 20, "wire size");
SHARED_ASSERT(sizeof(struct udp_header) == 8, "wire size");
SHARED_ASSERT(sizeof(struct icmp_header) == 8, "wire size");

enum ether_type { ETHER_IPV4 = 0x0800, ETHER_IPV6 = 0x86dd, ETHER_VLAN = 0x8100, ETHER_QINQ = 0x88a8 };

enum ip_protocol {
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_ICMP = 1,
    PROTOCOL_IPIP = 4,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_IPV6 = 41,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_FRAGMENT = 44,
    PROTOCOL_AUTHENTICATION = 51,
    PROTOCOL_ICMPV6 = 58,
    PROTOCOL_NONE = 59,
    PROTOCOL_DESTINATION = 60,
    PROTOCOL_SCTP = 132,
    PROTOCOL_MOBILITY = 135
};

enum tcp_flag {
    TCP_FIN = 1,
    TCP_SYN = 2,
    TCP_RST = 4,
    TCP_PSH = 8,
    TCP_ACK = 16,
    TCP_URG = 32,
    TCP_ECE = 64,
    TCP_CWR = 128
};

enum ipv4_fragment_bits {
    IPV4_DONT_FRAGMENT = 0x4000,
    IPV4_MORE_FRAGMENTS = 0x2000,
    IPV4_OFFSET_MASK = 0x1fff
};

enum icmp_type {
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_ECHO = 8,
    ICMP_TIME_EXCEEDED = 11,
    ICMP_PARAMETER_PROBLEM = 12,
    ICMPV6_UNREACHABLE = 1,
    ICMPV6_TOO_BIG = 2,
    ICMPV6_TIME_EXCEEDED = 3,
    ICMPV6_PARAMETER_PROBLEM = 4,
    ICMPV6_ECHO = 128,
    ICMPV6_ECHO_REPLY = 129
};

SHARED_END

#endif
