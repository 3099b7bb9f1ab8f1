// SPDX-License-Identifier: Apache-2.0
// sluicectl capacity: how many nodes a peak takes.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace sluice::ctl {

struct CapacityWords {
    std::string peak, packets, links, results, benchmark;
    double bytes = 800;
    double scaling = 0.95;
    double load = 0.8;
    unsigned cores = 1;
    unsigned spare = 1;
};

// Adds the subcommand; `parsed()` of it says whether it was asked for.
CLI::App* add_capacity(CLI::App& app, CapacityWords& words);

// Exit status.
int capacity(const CapacityWords& words, bool json);

}  // namespace sluice::ctl
