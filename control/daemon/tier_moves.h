// SPDX-License-Identifier: Apache-2.0
//
// Interfaces that the operator has moved to another tier than the configuration says (`sluicectl tier set`).
// They last until `auto`, until their section is gone, or until the daemon ends.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "dataplane/base/result.h"

namespace sluice::control {

using TierMoves = std::map<std::string, config::Tier>;  // by device

// A tier by its name; "auto" is an empty answer. The error lists what there is.
Result<std::optional<config::Tier>> tier_of(const std::string& word);

// The sections as the file has them, with the moved ones changed to their tiers. An interface that goes to
// dpdk and has no section for it is driven by net_af_xdp, with as many queues as the kernel's.
std::vector<config::Interface> moved(std::vector<config::Interface> interfaces, const TierMoves& moves);

// The moves with one more, or one less. The error says why the interface cannot be moved at all. `lendable`:
// whether a device that DPDK drives is the kernel's otherwise, which can have it back.
Result<TierMoves> with_move(const TierMoves& moves, const std::vector<config::Interface>& interfaces,
                            const std::string& interface, std::optional<config::Tier> tier,
                            const std::function<bool(const config::Interface&)>& lendable = {});

}  // namespace sluice::control
