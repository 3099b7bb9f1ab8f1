// SPDX-License-Identifier: Apache-2.0
//
// The kernel's way to write sets of CPUs and nodes: "0-3,8" (Documentation/admin-guide/cputopology.rst).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice {

// Ascending, each once. An empty text (or blanks) is the empty set.
Result<std::vector<u32>> parse_cpu_list(std::string_view text);

// `cpus` ascending; "none" for the empty set.
std::string cpu_list_text(const std::vector<u32>& cpus);

}  // namespace sluice
