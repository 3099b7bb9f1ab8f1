// SPDX-License-Identifier: Apache-2.0
//
// Logging is spdlog's: after log_init() use spdlog::info(...) and its like. Never from the packet path.
#pragma once

#include <spdlog/spdlog.h>

#include <cstdio>
#include <string>

#include "dataplane/base/result.h"

namespace sluice {

struct LogOptions {
    std::string level = "info";   // trace, debug, info, warn, error, critical or off
    std::string format = "text";  // text or json (one object a line: time, level, thread, message)
    std::FILE* out = stderr;      // stays open as long as anything logs
};

// Replaces the process's default logger. An unknown level or format is an error and changes nothing.
Status log_init(const LogOptions& options);

// Changes the level of the running logger (a reload, `diagnostics`).
Status log_set_level(const std::string& level);

}  // namespace sluice
