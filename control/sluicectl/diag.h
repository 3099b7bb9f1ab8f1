// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "control/sluicectl/client.h"
#include "dataplane/packet/target.h"

namespace sluice::ctl {

struct DiagWords {
    std::string directory;
    double seconds = 10;  // of capture; 0: none
    u64 megabytes = 16;   // of it, at most
};

// Puts into a new directory what somebody needs who was not there: what the daemon and this machine say, and
// a capture of packets with their verdicts, DNS answers apart. What cannot be had is named in `missing.txt`.
// Fails with the first file that cannot be written; the others are tried.
Status diag(const Client& client, const DiagWords& words);

}  // namespace sluice::ctl
