// SPDX-License-Identifier: Apache-2.0
//
// `sluicectl explain` and `config diff`: what is asked, and the answers for people.
#pragma once

#include <string>

#include "control/sluicectl/render.h"
#include "dataplane/base/result.h"

namespace sluice::ctl {

struct ExplainWords {
    std::string protocol, source, destination;
    std::string pcap;  // instead of these three
    std::string interface;
    std::string config;  // candidate's file; empty: what is in force
    unsigned count = 1000;
};

// The request's body. An error is a capture that cannot be read, or words that are missing.
Result<Json> explain_body(const ExplainWords& words);

std::string explain_text(const Json& answer);
std::string diff_text(const Json& report);

// As the daemon would open it, wherever that runs: absolute.
std::string absolute_path(const std::string& path);

}  // namespace sluice::ctl
