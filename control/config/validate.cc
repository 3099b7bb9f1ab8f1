// SPDX-License-Identifier: Apache-2.0
#include "control/config/validate.h"

#include <algorithm>
#include <map>
#include <set>

namespace sluice::config {

namespace {

void validate_qos(const Config& config, Checker& check) {
    if (!config.qos) return;
    std::set<uint8_t> priorities;
    uint32_t shares = 0;
    for (const QosClass& each : config.qos->classes) {
        shares += each.share;
        if (!priorities.insert(each.priority).second)
            check.wrong(each.where, "priority", "each priority once");
        if (shares > 100) check.wrong(each.where, "share", "shares that make at most 100 together");
    }
}

void validate_rule_references(const Config& config, Checker& check) {
    std::set<std::string_view> services;
    for (const Service& service : config.services) services.insert(service.name);
    for (const Rule& rule : config.policy.rules) {
        if (!rule.service.empty() && !services.contains(rule.service)) {
            check.wrong(rule.where, "service", "the name of a service under services");
        }
        if (!rule.interface.empty() && !names_interface(config, rule.interface)) {
            check.wrong(rule.where, "interface", "the name of an interface under interfaces");
        }
    }
}

void validate_listeners(const Config& config, Checker& check) {
    Mark diagnostics;
    diagnostics.path = "diagnostics";
    Mark metrics;
    metrics.path = "metrics";
    const std::string address = config.diagnostics.listen.address.text();
    if (!address.starts_with("127.") && address != "::1")
        check.wrong(diagnostics, "listen", "a loopback address, as connections are shown to the node alone");
    if (config.diagnostics.listen == config.metrics.listen)
        check.wrong(check.given(metrics, "listen") ? metrics : diagnostics, "listen",
                    "metrics.listen and diagnostics.listen apart");
}

}  // namespace

bool Checker::given(const Mark& where, std::string_view key) const {
    return find_node(document_, join_path(where.path, key)) != nullptr;
}

void Checker::wrong(const Mark& where, std::string_view key, std::string_view expected) {
    const std::string path =
        key.starts_with('[') ? where.path + std::string(key) : join_path(where.path, key);
    if (const Node* node = find_node(document_, path)) {
        problems_.add(node->line, node->column, path,
                      fmt::format("value \"{}\": expected {}", node->quoted(), expected));
        return;
    }
    const Node* section = find_node(document_, where.path);
    const Node& place = section == nullptr ? document_ : *section;
    problems_.add(place.line, place.column, path, fmt::format("missing: expected {}", expected));
}

void Checker::wrong_entry(const Mark& where, std::string_view key, std::string_view text,
                          std::string_view expected) {
    const Node* list = find_node(document_, join_path(where.path, key));
    size_t at = 0;
    while (list != nullptr && at < list->items.size() && list->items[at].text != text) ++at;
    Mark inside = where;
    inside.path = join_path(where.path, key);
    wrong(inside, fmt::format("[{}]", at), expected);
}

void Checker::wrong_here(const Mark& where, std::string_view what) {
    problems_.add(where.line, where.column, where.path, what);
}

void validate(const Config& config, Problems& problems) {
    Checker check(config, problems);
    validate_interfaces(config, check);
    validate_policy(config, check);
    validate_rule_references(config, check);
    validate_services(config, check);
    validate_forwarding(config, check);
    validate_qos(config, check);
    validate_listeners(config, check);
}

}  // namespace sluice::config
