// SPDX-License-Identifier: Apache-2.0
//
// What the compiler is told about the node, which the configuration does not say.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "control/compile/identities.h"
#include "control/compile/rings.h"
#include "control/config/address.h"
#include "dataplane/tables/node.h"

namespace sluice::compile {

struct LogicalPort {
    std::string name;                        // of the interface or sub-interface
    u8 number = 0;                           // index into node_state.ports, 1 to NODE_PORTS - 1
    u16 vlan = 0;                            // its tag, 0: untagged
    std::vector<config::Address> addresses;  // the node's own on it
};

struct Environment {
    u32 generation = 1;  // of the snapshot to build
    std::vector<LogicalPort> ports;
    // Of backends that are in another state than the configuration says: drained, or down by their probes.
    std::map<BackendKey, config::BackendState> backend_states;
    KnownRings rings;  // of the snapshot in force; the image is the same with and without

    config::BackendState state_of(const BackendKey& key, config::BackendState configured) const {
        const auto at = backend_states.find(key);
        return at != backend_states.end() ? at->second : configured;
    }
    const LogicalPort* find(std::string_view name) const {
        for (const LogicalPort& port : ports) {
            if (port.name == name) return &port;
        }
        return nullptr;
    }
};

}  // namespace sluice::compile
