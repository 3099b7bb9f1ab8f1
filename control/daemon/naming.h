// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/compile/identities.h"
#include "dataplane/packet/text.h"

namespace sluice::control {

// What the numbers in flows, counters and trace events stand for, under one snapshot. Never changed once
// made.
struct Naming {
    u32 generation = 0;
    compile::Identities identities;
    std::vector<std::string> rules;    // by position
    std::map<u32, std::string> ports;  // by number

    std::string service(u32 id_plus_one) const {
        const std::string* name = id_plus_one == 0 ? nullptr : identities.services.name(id_plus_one - 1);
        return name != nullptr ? *name : "";
    }
    std::string backend(u32 id_plus_one) const {
        const compile::BackendKey* key =
            id_plus_one == 0 ? nullptr : identities.backends.name(id_plus_one - 1);
        return key != nullptr ? key->text() : "";
    }
    std::string rule(u32 position_plus_one) const {
        if (position_plus_one == 0) return "default";
        return position_plus_one <= rules.size() ? rules[position_plus_one - 1] : "";
    }
    std::string port(u32 number) const {
        const auto at = ports.find(number);
        return at != ports.end() ? at->second : "none";
    }
};

// Its word, or its number.
std::string protocol_name(u32 protocol);

}  // namespace sluice::control
