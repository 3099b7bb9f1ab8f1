// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Verdicts and drop reasons: the one enumeration behind every counter, trace, document and API word.
//
// A stage answers a verdict word: 0 means "the next stage, please", else a verdict with its detail in the
// upper bits (the drop reason, the kind of answer, the kind of punt).
#ifndef SLUICE_PACKET_VERDICT_H
#define SLUICE_PACKET_VERDICT_H

#include "dataplane/packet/target.h"

SHARED_BEGIN

// ENTRY(identifier, name)
#define SLUICE_VERDICTS(ENTRY)                                                           \
    ENTRY(NONE, "none")         /* not decided yet */                                    \
    ENTRY(FORWARD, "forward")   /* rewritten; leaves by the egress port */               \
    ENTRY(PASS, "pass")         /* to the host stack, untouched */                       \
    ENTRY(DROP, "drop")         /* detail: drop reason */                                \
    ENTRY(REJECT, "reject")     /* answered by RST or ICMP error; detail: answer kind */ \
    ENTRY(EVALUATE, "evaluate") /* to the epoll tier */                                  \
    ENTRY(PROXY, "proxy")       /* to the host stack, for a listener of ours */          \
    ENTRY(PUNT, "punt")         /* to the engine, untouched; detail: punt kind */        \
    ENTRY(WAIT, "wait")         /* held by the engine; detail: what for */

// ENTRY(identifier, name, expected): expected is 1 for what correct operation produces, 0 for what points to
// a fault of a sender, a peer or this machine.
#define SLUICE_DROP_REASONS(ENTRY)                                                                         \
    ENTRY(NONE, "none", 1)                                                                                 \
    ENTRY(TRUNCATED, "truncated", 0)                       /* a header is cut short */                     \
    ENTRY(IPV4_VERSION, "ipv4_version", 0)                 /* RFC 791, 3.1: version is not 4 */            \
    ENTRY(IPV4_HEADER_LENGTH, "ipv4_header_length", 0)     /* IHL under 5 or beyond the packet */          \
    ENTRY(IPV4_TOTAL_LENGTH, "ipv4_total_length", 0)       /* under IHL or beyond the frame */             \
    ENTRY(IPV4_CHECKSUM, "ipv4_checksum", 0)               /* header checksum wrong */                     \
    ENTRY(IPV6_VERSION, "ipv6_version", 0)                 /* RFC 8200, 3: version is not 6 */             \
    ENTRY(IPV6_PAYLOAD_LENGTH, "ipv6_payload_length", 0)   /* beyond the frame */                          \
    ENTRY(IPV6_EXTENSION_CHAIN, "ipv6_extension_chain", 0) /* more headers than the bound */               \
    ENTRY(TCP_DATA_OFFSET, "tcp_data_offset", 0)           /* under 5 or beyond the packet */              \
    ENTRY(UDP_LENGTH, "udp_length", 0)                     /* under 8 or beyond the packet */              \
    ENTRY(FRAGMENT_OVERFLOW, "fragment_overflow", 0)       /* would end past 65,535 bytes */               \
    ENTRY(FRAGMENT_TINY, "fragment_tiny", 0)               /* RFC 1858: first one without its ports */     \
    ENTRY(FRAGMENT_TIMEOUT, "fragment_timeout", 0)         /* its first fragment never came */             \
    ENTRY(FRAGMENT_TABLE_FULL, "fragment_table_full", 0)   /* no room to wait for its first */             \
    ENTRY(IP_OPTIONS, "ip_options", 1)                     /* policy.ip_options: drop */                   \
    ENTRY(POLICY, "policy", 1)                             /* a rule or the default says drop */           \
    ENTRY(RATE_LIMITED, "rate_limited", 1)                 /* over the rule's rate */                      \
    ENTRY(TCP_NOT_SYN, "tcp_not_syn", 1)                   /* policy.tcp_pickup: false */                  \
    ENTRY(NO_BACKEND, "no_backend", 0)                     /* all backends down or none configured */      \
    ENTRY(NO_ROUTE, "no_route", 0)                         /* no route to the next destination */          \
    ENTRY(NO_NEIGHBOR, "no_neighbor", 0)                   /* next hop's MAC not known yet */              \
    ENTRY(TTL_EXPIRED, "ttl_expired", 1)                   /* and no answer may be sent about it */        \
    ENTRY(TOO_BIG, "too_big", 1)                           /* over the MTU, no answer or fragments due */  \
    ENTRY(REJECT_LIMITED, "reject_limited", 1)             /* an answer is due, but over their rate */     \
    ENTRY(NAT_CONFLICT, "nat_conflict", 0)                 /* reply direction is another flow's */         \
    ENTRY(NAT_PORTS_EXHAUSTED, "nat_ports_exhausted", 0)   /* fullnat found no free source port */         \
    ENTRY(FLOW_TABLE_FULL, "flow_table_full", 0)           /* no entry could be claimed */                 \
    ENTRY(FLOW_REPLACED, "flow_replaced", 0)               /* entry changed while the packet used it */    \
    ENTRY(TUNNEL_NESTED, "tunnel_nested", 0)               /* a tunnel in a tunnel: entered once only */   \
    ENTRY(TUNNEL_CHECKSUM, "tunnel_checksum", 0)           /* outer UDP checksum there and wrong */        \
    ENTRY(TUNNEL_ECN, "tunnel_ecn", 0)                     /* RFC 6040: CE outside, not-ECT inside */      \
    ENTRY(SCTP_FRAGMENT, "sctp_fragment", 0)               /* new port, but not all that its CRC covers */ \
    ENTRY(HEADROOM, "headroom", 0)                         /* no room to prepend the outer header */       \
    ENTRY(NO_ENGINE, "no_engine", 0)                       /* needs the engine; no worker has the queue */ \
    ENTRY(TRANSMIT_FULL, "transmit_full", 0)               /* egress ring or device took no more */        \
    ENTRY(HOST_PATH_FULL, "host_path_full", 0)             /* host path took no more */                    \
    ENTRY(WAIT_FULL, "wait_full", 0)                       /* too many packets wait for a neighbour */     \
    ENTRY(OTHER_TIER, "other_tier", 0)                     /* its egress is another tier's or kernel's */  \
    ENTRY(EVALUATION, "evaluation", 1)                     /* an evaluate rule's conditions do not hold */ \
    ENTRY(EVALUATION_OVERLOAD, "evaluation_overload", 0)   /* nobody to ask, and its fallback is drop */   \
    ENTRY(EVALUATION_WAIT, "evaluation_wait", 0)           /* its flow is undecided, enough wait for it */ \
    ENTRY(EVALUATION_TIMEOUT, "evaluation_timeout", 0)     /* the verdict did not come in time */

// ENTRY(identifier, name): answers that the engine composes for verdict REJECT.
#define SLUICE_ANSWERS(ENTRY)                                                                        \
    ENTRY(NONE, "none")                                                                              \
    ENTRY(POLICY, "policy") /* TCP RST, else ICMP administratively prohibited (RFC 1812, 5.2.7.1) */ \
    ENTRY(TTL_EXCEEDED, "ttl_exceeded") /* RFC 792, RFC 4443 3.3 */                                  \
    ENTRY(TOO_BIG, "too_big")           /* RFC 1191, RFC 8201 */

// ENTRY(identifier, name): what the XDP program hands to the engine. Which of them it hands over is data
// (node_state).
#define SLUICE_PUNTS(ENTRY)                                                              \
    ENTRY(NONE, "none")                                                                  \
    ENTRY(FRAGMENT, "fragment") /* any fragment of claimed traffic */                    \
    ENTRY(ANSWER, "answer")     /* a RST or an ICMP error is due */                      \
    ENTRY(NEIGHBOR, "neighbor") /* next hop unresolved: the engine resolves and waits */ \
    ENTRY(SERVICE, "service")   /* the service or interface is served by the engine */   \
    ENTRY(CHECKSUM, "checksum") /* SCTP: a CRC32c over the packet changes */             \
    ENTRY(ROUTE, "route")       /* the kernel's FIB does not tell XDP the way */         \
    ENTRY(TUNNEL, "tunnel")     /* addressed to a tunnel endpoint of ours */             \
    ENTRY(TOO_BIG, "too_big")   /* over the MTU, and to be fragmented */                 \
    ENTRY(EVALUATE, "evaluate") /* a rule's conditions are the epoll tier's to judge */

#define SLUICE_ENUM_VERDICT(id, name) VERDICT_##id,
#define SLUICE_ENUM_REASON(id, name, expected) REASON_##id,
#define SLUICE_ENUM_ANSWER(id, name) ANSWER_##id,
#define SLUICE_ENUM_PUNT(id, name) PUNT_##id,

enum verdict { SLUICE_VERDICTS(SLUICE_ENUM_VERDICT) VERDICT_COUNT };
enum drop_reason { SLUICE_DROP_REASONS(SLUICE_ENUM_REASON) REASON_COUNT };
enum answer_kind { SLUICE_ANSWERS(SLUICE_ENUM_ANSWER) ANSWER_COUNT };
enum punt_kind { SLUICE_PUNTS(SLUICE_ENUM_PUNT) PUNT_COUNT };

// The widest a reason may get: tables that count by reason have this many rows.
#define REASON_ROWS 64
SHARED_ASSERT(REASON_COUNT <= REASON_ROWS, "drop reasons outgrew their counters");

SHARED u32 verdict_word(u32 verdict, u32 detail) { return verdict | detail << 8; }
SHARED u32 verdict_of(u32 word) { return word & 0xff; }
SHARED u32 detail_of(u32 word) { return word >> 8; }
SHARED u32 drop(u32 reason) { return verdict_word(VERDICT_DROP, reason); }
SHARED u32 reject(u32 answer) { return verdict_word(VERDICT_REJECT, answer); }
SHARED u32 punt(u32 kind) { return verdict_word(VERDICT_PUNT, kind); }

SHARED_END

#endif
