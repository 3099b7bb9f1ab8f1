// SPDX-License-Identifier: Apache-2.0
//
// What net_af_xdp is given to load. The driver of DPDK 22.11 opens its sockets with a program of its choice
// or of a file (xdp_prog=), whose map it puts them into. It is kept from attaching it (program_guard.h): ours
// is in front, with the sockets in its own map.
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

private:
    explicit StandIn(UniqueFd file) : file_(std::move(file)) {}
    UniqueFd file_;
};

}  // namespace sluice
