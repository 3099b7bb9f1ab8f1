// SPDX-License-Identifier: Apache-2.0
//
// The command line described by itself: shell completion and the manual page, out of what it parses by.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace sluice::ctl {

// `shell` is bash or zsh; the text is to be sourced.
std::string completion_of(const CLI::App& app, const std::string& shell);

// sluicectl(8), in man(7) macros.
std::string manual_of(const CLI::App& app);

}  // namespace sluice::ctl
