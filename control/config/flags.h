// SPDX-License-Identifier: Apache-2.0
//
// Environment flags that switch tiers on a node without touching its configuration: ENABLE_XDP,
// ENABLE_AF_XDP, ENABLE_DPDK, ENABLE_EBPF (tc, sk_lookup and sockmap programs) and ENABLE_NUMA, each true,
// false or auto in any case. A flag beats the file; what decided is kept, for status.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/model.h"
#include "dataplane/base/result.h"

namespace sluice::config {

// on: expected to be there, its absence is worth a warning; automatic: used where it is there.
enum class Switch : uint8_t { automatic, on, off };
enum class DecidedBy : uint8_t { fallback, file, environment };

std::string_view text(Switch value);     // "auto", "true", "false"
std::string_view text(DecidedBy value);  // "default", "file", "environment"

struct Flag {
    Switch value = Switch::automatic;
    DecidedBy decided_by = DecidedBy::fallback;  // fallback or environment
    bool operator==(const Flag&) const = default;
};

struct TierFlags {
    Flag xdp;
    Flag af_xdp;
    Flag dpdk;
    Flag ebpf;
    Flag numa;
};

// Looks a variable up: its value, or nullptr. std::getenv is one.
using Lookup = std::function<const char*(const char* name)>;

// An empty variable counts as not set. The error names each wrong flag, its value and what was expected.
Result<TierFlags> read_flags(const Lookup& lookup);

// What flag and file together say about one thing, and who decided it.
struct Decision {
    Switch value = Switch::automatic;
    DecidedBy decided_by = DecidedBy::fallback;
    bool overruled = false;  // the file said something else

    // "false (environment; the file says true)", for status and log.
    std::string text() const;
    bool operator==(const Decision&) const = default;
};

// `file` is what the file says, empty where it is auto or silent.
Decision decide(const Flag& flag, std::optional<bool> file);

// The flag of a tier; epoll has none and gives automatic.
Flag flag_of(const TierFlags& flags, Tier tier);

struct TierDecision {
    Tier tier;
    Decision decision;
};

// For one interface, in the order to try: the file's tiers (all four, fastest first, where it says auto, dpdk
// only with a dpdk section), then those that a flag adds. Tiers that are off stay in the list, with who
// turned them off.
std::vector<TierDecision> decide_tiers(const TierFlags& flags, const Interface& interface);

}  // namespace sluice::config
