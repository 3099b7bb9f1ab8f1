// SPDX-License-Identifier: Apache-2.0
//
// `sluicectl probe`: what this machine has for a configuration, and what is missing. Needs no daemon.
#pragma once

#include <string>

#include "control/config/config.h"
#include "control/sluicectl/render.h"
#include "dataplane/base/result.h"

namespace sluice::ctl {

// Huge pages that the configuration's packet buffers would use, by interface and node, beside what is
// reserved, and the commands that reserve the rest.
Result<Json> probe_huge_pages(const config::Config& config);
std::string huge_pages_text(const Json& probe);

}  // namespace sluice::ctl
