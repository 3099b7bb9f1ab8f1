// SPDX-License-Identifier: Apache-2.0
//
// `sluicectl probe`: each thing that a tier wants of the kernel, the machine and its interfaces: whether it
// is there, what was found, and what to do where it is not. Needs no daemon; without root less can be told.
#pragma once

#include <string>
#include <vector>

#include "control/sluicectl/render.h"

namespace sluice::ctl {

struct ProbeOptions {
    std::vector<std::string> interfaces;  // empty: all but loopback
    bool try_sockets = false;             // open a zero-copy socket on queue 0 of each
};

// {"machine": [CHECK...], "interfaces": {NAME: [CHECK...]}}, where CHECK has `name`, `result` (pass, fail,
// note: neither good nor bad, unknown), `found` and, where there is something to do, `remedy`.
Json probe_machine(const ProbeOptions& options);
std::string probe_text(const Json& probe);

// Whether any check failed.
bool probe_failed(const Json& probe);

Json check(const std::string& name, const char* result, const std::string& found,
           const std::string& remedy = "");
Json check(const std::string& name, bool good, const std::string& found, const std::string& remedy);

Json probe_interface(const std::string& name, bool try_sockets);

}  // namespace sluice::ctl
