// SPDX-License-Identifier: Apache-2.0
//
// The daemon's own privileges: given up once, when what only a start needs is done (docs/security.md).
#pragma once

#include <string>
#include <vector>

#include "control/api/model.h"
#include "control/config/config.h"
#include "control/daemon/dpdk_tier.h"
#include "control/sandbox/capabilities.h"

namespace sluice::control {

// What a configuration, as planned, makes use of.
sandbox::Needs needs_of(const config::Config& config, const Plans& plans, const config::TierFlags& flags);

class Confinement {
public:
    // Keeps what `needs` takes and gives up the rest, for this thread and those that it starts later. A
    // filter that the kernel does not take is a warning: a node without it still has to forward. Once: a
    // daemon that takes its node back after an upgrade that failed is confined already.
    Status take(const sandbox::Needs& needs);

    // Keeps everything, and says so.
    void leave(const char* reason);

    // Whether what is left suffices for `needs`.
    Status allows(const sandbox::Needs& needs) const;

    // By the kernel's word.
    api::ConfinementReport report() const;

    // A line for each system call that was refused for the first time.
    void log_refusals();

private:
    bool taken_ = false;
    bool filtered_ = false;
    std::string not_filtered_;
    std::vector<std::string> given_up_;
    std::vector<std::string> logged_;
};

}  // namespace sluice::control
