// SPDX-License-Identifier: Apache-2.0
//
// Reading the files that operators write.
#pragma once

#include <string>
#include <vector>

#include "control/config/address.h"
#include "control/config/problems.h"
#include "dataplane/base/result.h"

namespace sluice::config {

constexpr size_t max_set_prefixes = 1'000'000;
constexpr size_t max_set_bytes = size_t{128} << 20;

// The whole of a regular file of at most `limit` bytes. The error names the file.
Result<std::string> read_text_file(const std::string& path, size_t limit);

// Prefixes out of the text of a set's file, one per line, # comments and blanks ignored; faults go to
// `problems` with the file's name and line.
std::vector<Prefix> parse_prefix_list(std::string_view text, std::string_view file, Problems& problems);

// `file` as it can be opened: relative names are relative to the folder of `configuration`.
std::string resolve_beside(const std::string& file, const std::string& configuration);

}  // namespace sluice::config
