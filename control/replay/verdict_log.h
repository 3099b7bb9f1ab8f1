// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "control/compile/compiler.h"
#include "dataplane/worker/engine.h"

namespace sluice::replay {

// One JSON object per input packet, in the packets' order: a packet that waits holds back the lines behind
// its own.
//
//   n          number of the packet in the capture, from 1
//   verdict    forward, pass, drop, reject, evaluate, proxy
//   reason     the drop reason's name; null for another verdict
//   rule       name of the policy rule that decided; null: the default action, or nobody was asked
//   service, backend    names; null: none
//   interface  the port that the packet, or the answer to it, leaves by; null: it does not leave
//   tier       that gave the verdict
class VerdictLog {
public:
    // `snapshot` and `ports` give the names. "-" is standard output.
    static Result<std::unique_ptr<VerdictLog>> create(const std::string& path,
                                                      const compile::Snapshot& snapshot,
                                                      const config::Config& config,
                                                      const std::vector<std::string>& ports);

    // Each number from 1 on once, in any order.
    void add(u64 number, const Decision& decision, const char* tier);
    Status close();  // an error when something could not be written

private:
    VerdictLog(const compile::Snapshot& snapshot, const config::Config& config,
               const std::vector<std::string>& ports)
        : snapshot_(snapshot), config_(config), ports_(ports) {}

    std::string line(u64 number, const Decision& decision, const char* tier) const;

    const compile::Snapshot& snapshot_;
    const config::Config& config_;
    const std::vector<std::string>& ports_;
    std::string path_;
    std::ofstream file_;
    std::ostream* out_ = nullptr;
    u64 next_ = 1;                                  // number of the first of:
    std::deque<std::optional<std::string>> lines_;  // not written yet; empty: not known yet
};

}  // namespace sluice::replay
