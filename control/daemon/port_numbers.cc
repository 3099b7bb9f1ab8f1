// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/port_numbers.h"

#include <algorithm>
#include <set>

namespace sluice::control {

std::vector<LogicalInterface> logical_interfaces(const config::Config& config) {
    std::vector<LogicalInterface> all;
    const auto find = [&](const std::string& name) -> const config::Interface* {
        const auto at = std::find_if(config.interfaces.begin(), config.interfaces.end(),
                                     [&](const config::Interface& each) { return each.name == name; });
        return at == config.interfaces.end() ? nullptr : &*at;
    };
    for (const config::Interface& device : config.interfaces) {
        if (device.is_sub_interface()) continue;
        all.push_back({device.name, device.name, 0, &device, &device});
        for (const u16 tag : device.vlan) {
            const std::string name = fmt::format("{}.{}", device.name, tag);
            all.push_back({name, device.name, tag, find(name), &device});
        }
    }
    return all;
}

Status PortNumbers::assign(const std::vector<std::string>& names) {
    if (names.size() >= NODE_PORTS)
        return make_error("interfaces: {} with their tags: expected at most {}", names.size(),
                          NODE_PORTS - 1);
    std::map<std::string, u8> next;
    std::set<u8> used;
    for (const std::string& name : names) {
        const auto known = numbers_.find(name);
        if (known == numbers_.end()) continue;
        next.insert(*known);
        used.insert(known->second);
    }
    u8 free = 1;
    for (const std::string& name : names) {
        if (next.contains(name)) continue;
        while (used.contains(free)) ++free;
        used.insert(free);
        next[name] = free;
    }
    numbers_ = std::move(next);
    return {};
}

void PortNumbers::adopt(const std::string& name, u8 number) {
    const bool taken = std::any_of(numbers_.begin(), numbers_.end(),
                                   [&](const auto& each) { return each.second == number; });
    if (number != 0 && number < NODE_PORTS && !taken) numbers_.emplace(name, number);
}

}  // namespace sluice::control
