// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/config_changes.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::control {

namespace {

using Lines = std::vector<std::string>;

template <typename T>
const T* named(const std::vector<T>& list, const std::string& name) {
    const auto at = std::find_if(list.begin(), list.end(), [&](const T& each) { return each.name == name; });
    return at == list.end() ? nullptr : &*at;
}

// Things with names: gone, new, changed.
template <typename T>
void compare(const char* what, const std::vector<T>& before, const std::vector<T>& after, Lines& out) {
    for (const T& each : before) {
        if (named(after, each.name) == nullptr) out.push_back(fmt::format("{} {}: removed", what, each.name));
    }
    for (const T& each : after) {
        const T* past = named(before, each.name);
        if (past == nullptr)
            out.push_back(fmt::format("{} {}: new", what, each.name));
        else if (!(*past == each))
            out.push_back(fmt::format("{} {}: changed", what, each.name));
    }
}

template <typename T>
void compare_whole(const char* what, const T& before, const T& after, Lines& out) {
    if (!(before == after)) out.push_back(fmt::format("{}: changed", what));
}

Lines names_in_order(const std::vector<config::Rule>& rules, const std::vector<config::Rule>& others) {
    Lines names;
    for (const config::Rule& rule : rules) {
        if (named(others, rule.name) != nullptr) names.push_back(rule.name);
    }
    return names;
}

void compare_policies(const config::Policy& before, const config::Policy& after, Lines& out) {
    compare_whole("policy.default", before.default_action, after.default_action, out);
    compare_whole("policy.tcp_pickup", before.tcp_pickup, after.tcp_pickup, out);
    compare_whole("policy.ip_options", before.ip_options, after.ip_options, out);
    compare_whole("policy.managed", before.managed, after.managed, out);
    compare_whole("policy.sets", before.sets, after.sets, out);
    compare("rule", before.rules, after.rules, out);
    if (names_in_order(before.rules, after.rules) != names_in_order(after.rules, before.rules))
        out.emplace_back("policy.rules: in another order");
}

}  // namespace

std::vector<std::string> config_changes(const config::Config& before, const config::Config& after) {
    Lines out;
    compare("interface", before.interfaces, after.interfaces, out);
    compare_whole("workers", before.workers, after.workers, out);
    compare_policies(before.policy, after.policy, out);
    compare("service", before.services, after.services, out);
    compare_whole("tunnels", before.tunnels, after.tunnels, out);
    compare_whole("routes", before.routes, after.routes, out);
    compare_whole("neighbors", before.neighbors, after.neighbors, out);
    compare_whole("tables", before.tables, after.tables, out);
    compare_whole("timeouts", before.timeouts, after.timeouts, out);
    compare_whole("metrics", before.metrics, after.metrics, out);
    compare_whole("control", before.control, after.control, out);
    compare_whole("state", before.state, after.state, out);
    compare_whole("log", before.log, after.log, out);
    return out;
}

}  // namespace sluice::control
