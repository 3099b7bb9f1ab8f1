// SPDX-License-Identifier: Apache-2.0
//
// Reads and validates a configuration. A bad one yields all its faults at once (at most 20), one per line:
//
//     FILE:LINE:COLUMN: KEY.PATH: value "VALUE": expected WHAT (did you mean "WORD"?)
//
// A good one is complete: every reference resolves, set files are read, defaults are filled in. Whether this
// release can do all that it asks for is a question of its own: check_supported() in support.h.
#pragma once

#include <string>
#include <string_view>

#include "control/config/config.h"
#include "dataplane/base/result.h"

namespace sluice::config {

Result<Config> load_file(const std::string& path);

// The same from memory. `name` stands in for the file's path: in messages, and for the folder of set files.
Result<Config> load_text(std::string_view text, const std::string& name);

}  // namespace sluice::config
