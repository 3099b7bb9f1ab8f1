// SPDX-License-Identifier: Apache-2.0
//
// `sluicectl capture`: fetches what the daemon captures, and writes it to files or says a line per packet.
// The daemon writes no file: what fills up is a disk, or a quota, of the caller's.
#pragma once

#include <string>
#include <vector>

#include "control/sluicectl/client.h"
#include "dataplane/packet/target.h"

namespace sluice::ctl {

struct CaptureWords {
    std::vector<std::string> filter;  // an expression, as tcpdump takes it
    std::string interface, tier;
    std::string direction = "in";
    u32 bytes = 2048;
    std::string file;  // "-": standard output; empty: a line per packet
    u64 count = 0;     // packets, then end; 0: until interrupted
    double seconds = 0;
    u64 megabytes = 0;  // of a file, then end or begin the next one; 0: any number
    u32 files = 1;      // the oldest is overwritten by the one after the last
    bool dns = false;   // DNS answers alone
};

// Until it is complete or interrupted. What became of it is said on standard error.
Status capture(const Client& client, const CaptureWords& words);

// A line about a packet block, by the interface block that it names.
std::string packet_line(std::string_view interface, std::string_view packet);

}  // namespace sluice::ctl
