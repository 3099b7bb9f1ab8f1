// SPDX-License-Identifier: Apache-2.0
//
// A text that lives as long as the pins beside it: the one value of a BPF array that is pinned among them. (A
// BPF file system has no files of its own.)
#pragma once

#include <optional>
#include <string>

#include "dataplane/base/result.h"

namespace sluice {

// Replaces the text called `name` (no dots) in `directory`, at once: whoever reads finds the old one or the
// new.
Status write_pinned_text(const std::string& directory, const std::string& name, const std::string& text);

// Nothing when there is none.
Result<std::optional<std::string>> read_pinned_text(const std::string& directory, const std::string& name);

// Whether what is pinned at `path` is such a text.
bool is_pinned_text(const std::string& path);

}  // namespace sluice
