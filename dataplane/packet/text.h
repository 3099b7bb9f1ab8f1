// SPDX-License-Identifier: Apache-2.0
//
// Verdicts, addresses and protocols as people write them. Native only.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>

#include <string>

#include "dataplane/packet/address.h"
#include "dataplane/packet/headers.h"
#include "dataplane/packet/verdict.h"

namespace sluice {

#define SLUICE_NAME(id, name) name,
#define SLUICE_REASON_NAME(id, name, expected) name,
inline const char* verdict_name(u32 verdict) {
    static constexpr const char* names[] = {SLUICE_VERDICTS(SLUICE_NAME)};
    return verdict < VERDICT_COUNT ? names[verdict] : "unknown";
}
inline const char* reason_name(u32 reason) {
    static constexpr const char* names[] = {SLUICE_DROP_REASONS(SLUICE_REASON_NAME)};
    return reason < REASON_COUNT ? names[reason] : "unknown";
}
#undef SLUICE_NAME
#undef SLUICE_REASON_NAME

// Null: one that has no word here.
inline const char* protocol_word(u32 protocol) {
    switch (protocol) {
        case PROTOCOL_TCP: return "tcp";
        case PROTOCOL_UDP: return "udp";
        case PROTOCOL_SCTP: return "sctp";
        case PROTOCOL_ICMP: return "icmp";
        case PROTOCOL_ICMPV6: return "icmpv6";
        default: return nullptr;
    }
}

// "10.0.0.2", "2001:db8::1"
inline std::string address_text(const struct address& a) {
    char text[INET6_ADDRSTRLEN] = "";
    const be32 v4 = address_to_ipv4(&a);
    if (address_is_ipv4(&a))
        inet_ntop(AF_INET, &v4, text, sizeof text);
    else
        inet_ntop(AF_INET6, &a, text, sizeof text);
    return text;
}

// "10.0.0.2:4242", "[2001:db8::1]:53"
inline std::string endpoint_text(const struct address& a, u16 port) {
    return fmt::format(fmt::runtime(address_is_ipv4(&a) ? "{}:{}" : "[{}]:{}"), address_text(a), port);
}

}  // namespace sluice
