// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/naming.h"

#include "control/daemon/environment.h"
#include "dataplane/packet/headers.h"

namespace sluice::control {

std::string protocol_name(u32 protocol) {
    switch (protocol) {
        case PROTOCOL_TCP: return "tcp";
        case PROTOCOL_UDP: return "udp";
        case PROTOCOL_SCTP: return "sctp";
        case PROTOCOL_ICMP: return "icmp";
        case PROTOCOL_ICMPV6: return "icmpv6";
        default: return fmt::to_string(protocol);
    }
}

std::string endpoint_text(const struct address& a, u16 port) {
    const config::Address text = config_address(a);
    return fmt::format(fmt::runtime(text.is_v4() ? "{}:{}" : "[{}]:{}"), text.text(), port);
}

}  // namespace sluice::control
