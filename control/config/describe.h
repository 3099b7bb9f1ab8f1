// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace sluice::config {

// The reference of every key as Markdown, out of the same tables that read them. docs/configuration.md is
// this text.
std::string describe();

}  // namespace sluice::config
