// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/config_changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

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

// Sections without names of their own, compared whole.
constexpr std::tuple policy_parts{std::pair{"policy.default", &config::Policy::default_action},
                                  std::pair{"policy.tcp_pickup", &config::Policy::tcp_pickup},
                                  std::pair{"policy.ip_options", &config::Policy::ip_options},
                                  std::pair{"policy.managed", &config::Policy::managed},
                                  std::pair{"policy.sets", &config::Policy::sets}};
constexpr std::tuple sections{
    std::pair{"workers", &config::Config::workers}, std::pair{"tunnels", &config::Config::tunnels},
    std::pair{"routes", &config::Config::routes},   std::pair{"neighbors", &config::Config::neighbors},
    std::pair{"tables", &config::Config::tables},   std::pair{"timeouts", &config::Config::timeouts},
    std::pair{"metrics", &config::Config::metrics}, std::pair{"diagnostics", &config::Config::diagnostics},
    std::pair{"control", &config::Config::control}, std::pair{"state", &config::Config::state},
    std::pair{"log", &config::Config::log}};

template <typename Parts, typename Whole>
void compare_parts(const Parts& parts, const Whole& before, const Whole& after, Lines& out) {
    const auto one = [&](const auto& part) {
        if (!(before.*part.second == after.*part.second))
            out.push_back(fmt::format("{}: changed", part.first));
    };
    std::apply([&](const auto&... each) { (one(each), ...); }, parts);
}

Lines names_in_order(const std::vector<config::Rule>& rules, const std::vector<config::Rule>& others) {
    Lines names;
    for (const config::Rule& rule : rules) {
        if (named(others, rule.name) != nullptr) names.push_back(rule.name);
    }
    return names;
}

void compare_policies(const config::Policy& before, const config::Policy& after, Lines& out) {
    compare_parts(policy_parts, before, after, out);
    compare("rule", before.rules, after.rules, out);
    if (names_in_order(before.rules, after.rules) != names_in_order(after.rules, before.rules))
        out.emplace_back("policy.rules: in another order");
}

}  // namespace

std::vector<std::string> config_changes(const config::Config& before, const config::Config& after) {
    Lines out;
    compare("interface", before.interfaces, after.interfaces, out);
    compare_policies(before.policy, after.policy, out);
    compare("service", before.services, after.services, out);
    compare_parts(sections, before, after, out);
    return out;
}

}  // namespace sluice::control
