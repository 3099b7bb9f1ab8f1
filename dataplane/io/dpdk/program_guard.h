// SPDX-License-Identifier: Apache-2.0
//
// net_af_xdp beside our own XDP program. The driver of DPDK 22.11 attaches a program of its choice when it
// opens its sockets, fails where one is attached already, and takes off whatever is attached when it closes.
// It cannot be told otherwise. Its sockets need no program of its own: ours hands over to them by a map.
//
// So its calls of libbpf's bpf_xdp_attach() and bpf_xdp_detach() come here, as this program defines functions
// of these names before libbpf does, and do nothing on a device that is guarded. All other calls, by whomever
// and on whatever device, go on to libbpf. So our program stays in front of the device all the time, and
// there is no moment in which its packets would meet the host's stack.
#pragma once

#include "dataplane/packet/target.h"

namespace sluice {

// While it lives, nobody on this thread changes what is attached to the device; who tries is told that it
// was done. 0: no device. One at a time per thread.
class ProgramGuard {
public:
    explicit ProgramGuard(u32 ifindex);
    ~ProgramGuard();
    ProgramGuard(const ProgramGuard&) = delete;
    ProgramGuard& operator=(const ProgramGuard&) = delete;

    // Calls that were kept from the device.
    static u64 kept();
};

}  // namespace sluice
