// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace sluice::config {

// The JSON schema (draft 2020-12) of a configuration file, out of the same tables that read it, for editors
// and for checks before a file reaches a node. It knows keys, kinds, words and bounds; what contradicts
// something elsewhere in the file only `sluicectl config check` finds.
std::string json_schema();

}  // namespace sluice::config
