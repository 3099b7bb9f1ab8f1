// SPDX-License-Identifier: Apache-2.0
//
// net_af_xdp with our own XDP program in front. The driver of DPDK 22.11 opens its sockets with a program of
// its choice or of a file (xdp_prog=), and in either case attaches it; it fails where one is attached, and it
// cannot be told to use that one. So it is given a program that passes everything, which is taken off once
// the sockets are open, and ours, with the sockets in its own map, comes in its place.
#pragma once

#include <memory>
#include <string>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice {

class StandIn {
public:
    // The program as a file in memory.
    static Result<std::unique_ptr<StandIn>> create();

    // For xdp_prog=, as long as this object lives.
    std::string path() const;

    // Takes it, and nothing else, off the interface. Fine where it is not there.
    static Status take_off(u32 ifindex);

private:
    explicit StandIn(UniqueFd file) : file_(std::move(file)) {}
    UniqueFd file_;
};

}  // namespace sluice
