// SPDX-License-Identifier: Apache-2.0
//
// What each command does once the command line has been read. All return an Exit.
#pragma once

#include <string>

#include "control/sluicectl/capture.h"
#include "control/sluicectl/diag.h"
#include "control/sluicectl/explain.h"
#include "control/sluicectl/probe_machine.h"
#include "control/sluicectl/top.h"

namespace sluice::ctl {

enum Exit { done = 0, failed = 1, usage = 2, unreachable = 3 };

struct Options {
    std::string socket = "/run/sluice/sluice.sock";
    bool json = false;
    std::string file;
    u32 limit = 100;
    u64 cursor = 0;
    std::string service, protocol, address, backend;
    std::string every;
    std::string interface, tier;
    ExplainWords explain;
    TopWords top;
    bool all = false;     // flows: every page
    bool follow = false;  // trace: go on
    CaptureWords capture;
    DiagWords diag;
    std::string level;
    std::string shell;
    ProbeOptions probe;
};

// The daemon's answer to GET `path`, as `render` puts it, or as JSON.
int show(const Options& options, const std::string& path, std::string (*render)(const Json&));
// Asks for something to be done; prints `success` once it is.
int command(const Options& options, const std::string& method, const std::string& path,
            const std::string& body, const std::string& success);

int show_flows(const Options& options);
int show_top(Options& options);
int explain(const Options& options);
int config_diff(const Options& options);
int config_check(const Options& options);
int drain_backend(const Options& options, bool drained);
int capture_packets(const Options& options);
int diagnose(const Options& options);
int trace(const Options& options);
int set_tier(const Options& options);
int set_log_level(const Options& options);
int probe(const Options& options);

}  // namespace sluice::ctl
