// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "dataplane/base/result.h"
#include "dataplane/tables/node.h"

namespace sluice::control {

// A logical interface: a device, or the frames of one tag on it.
struct LogicalInterface {
    std::string name;                             // "eth0", "eth0.200"
    std::string device;                           // "eth0"
    u16 vlan = 0;                                 // 0: untagged
    const config::Interface* settings = nullptr;  // of its own, else nullptr: a tag without a section
    const config::Interface* parent = nullptr;    // of the device
};

// Every device of the configuration, and every tag that it accepts. Pointers lead into `config`.
std::vector<LogicalInterface> logical_interfaces(const config::Config& config);

// Numbers of logical interfaces in node_state.ports: a name that stays keeps its number, so that flows stay
// true.
class PortNumbers {
public:
    // Numbers for `names`; those that are not among them any more become free. Fails, changing nothing, when
    // there are more than NODE_PORTS - 1.
    Status assign(const std::vector<std::string>& names);

    // The number that `name` had before this process, where it is free.
    void adopt(const std::string& name, u8 number);

    u8 at(const std::string& name) const { return numbers_.at(name); }
    const std::map<std::string, u8>& all() const { return numbers_; }

private:
    std::map<std::string, u8> numbers_;
};

}  // namespace sluice::control
