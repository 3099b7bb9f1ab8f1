// SPDX-License-Identifier: Apache-2.0
//
// Backends that are in another state than the configuration says: drained by command, or down by their
// probes. Control thread only.
#pragma once

#include <map>
#include <set>
#include <string>

#include "control/api/model.h"
#include "control/config/config.h"
#include "control/health/checker.h"

namespace sluice::control {

inline constexpr const char* kept_states_pin = "backend_states";

class BackendStates {
public:
    using States = std::map<compile::BackendKey, config::BackendState>;

    // `changed` is called when a backend went up or down.
    BackendStates(EventLoop& loop, std::function<void()> changed) : checker_(loop, std::move(changed)) {}

    // What outlives the daemon, as text beside the pinned maps.
    std::string kept() const;
    Status restore(const std::string& text);

    // The configuration in force from now on: its backends are probed, and of those that are gone nothing is
    // remembered.
    void follow(const config::Config& config);

    // What differs from the configuration; a backend that is down counts as disabled.
    States differing(const config::Config& config) const;
    // Of all backends of the configuration, those that get nothing: down or disabled.
    std::set<compile::BackendKey> off(const config::Config& config) const;

    // The error names what there is. Draining what is drained is none.
    Status set_drained(const config::Config& config, const std::string& service, const std::string& backend,
                       bool drained);

    void describe(const compile::BackendKey& key, config::BackendState configured,
                  api::BackendReport& out) const;

private:
    health::Checker checker_;
    std::set<compile::BackendKey> drained_;
    std::set<compile::BackendKey> was_down_;  // when an earlier daemon stopped
};

}  // namespace sluice::control
