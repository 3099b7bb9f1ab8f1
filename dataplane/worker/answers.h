// SPDX-License-Identifier: Apache-2.0
//
// Answers that we send ourselves: a RST or an ICMP error, composed in the frame that they are about.
//
//   policy        TCP: RST as if nobody listened (RFC 9293, 3.10.7.1); else administratively prohibited (RFC
//   1812, 5.2.7.1:
//                 code 13; RFC 4443, 3.1: code 1)
//   ttl_exceeded  time exceeded in transit
//   too_big       fragmentation needed, with the MTU (RFC 1191); packet too big (RFC 4443, 3.2)
//
// ICMP errors come from the receiving port's own address (any port's, where it has none), with TTL 64 and as
// much of the packet as fits 576 bytes in IPv4 (RFC 1812, 4.3.2.3), 1,280 in IPv6 (RFC 4443, 2.4). None is
// sent about an ICMP error, a later fragment, or from or to anything but one station (RFC 1812, 4.3.2.7; RFC
// 4443, 2.4); no RST about a RST.
#pragma once

#include "dataplane/pipeline/stage.h"

namespace sluice {

class Answers {
public:
    // At most `per_second` of them in the long run, `burst` at once.
    Answers(u32 per_second, u32 burst);

    // Turns the packet of `s`, untouched since it was parsed, into the answer that verdict word `rejected`
    // asks for. Returns `rejected`; or the drop due instead, where no answer may be sent (the packet's own
    // reason), none is due at this rate (REJECT_LIMITED), or there is no room for its headers (HEADROOM).
    u32 compose(struct pipeline& s, u32 rejected);

private:
    bool take(u64 now_ns);

    u64 cost_ns_;  // of one answer
    u64 burst_ns_;
    u64 next_ns_ = 0;  // theoretical arrival time, as of the meters (pipeline/policy.h)
};

}  // namespace sluice
