// SPDX-License-Identifier: Apache-2.0
#include "control/compile/policy_builder.h"

#include <algorithm>

#include "control/compile/rule_actions.h"

namespace sluice::compile {

PolicyBuilder::PolicyBuilder(const config::Config& config, const Environment& environment,
                             const Identities& ids)
    : config_(config),
      environment_(environment),
      ids_(ids),
      rows_(static_cast<u32>(config.policy.rules.size())),
      sources_(config.policy, &config::Rule::from, rows_),
      destinations_(config.policy, &config::Rule::to, rows_) {}

// An interface that is configured but not there just now matches nothing.
Status PolicyBuilder::check_references(const config::Rule& rule) const {
    const auto configured = [&](const config::Interface& interface) {
        return rule.interface == interface.name || rule.interface.starts_with(interface.name + ".");
    };
    if (!rule.interface.empty() && environment_.find(rule.interface) == nullptr &&
        std::none_of(config_.interfaces.begin(), config_.interfaces.end(), configured)) {
        return make_error("{}: interface \"{}\": expected one under interfaces", rule.where.text(),
                          rule.interface);
    }
    if (!rule.service.empty() && !ids_.services.find(rule.service)) {
        return make_error("{}: service \"{}\": expected one under services", rule.where.text(), rule.service);
    }
    return {};
}

Status PolicyBuilder::prepare() {
    for (const config::Rule& rule : config_.policy.rules) {
        if (Status status = check_references(rule); !status) return status;
        Result<image_rule> compiled = compile_rule(rule, ids_.rules.at(rule.name));
        if (!compiled) return compiled.error();
        rules_.push_back(*compiled);
    }
    fields_ = build_policy_fields(config_.policy, environment_, ids_, rows_);
    return {};
}

Result<LpmTable> PolicyBuilder::sources() {
    const auto& items = sources_.items();
    std::vector<LpmItem> prefixes;
    prefixes.reserve(items.size());
    CoverStack<u32> covers(true);
    for (size_t first = 0, last = 0; first < items.size(); first = last) {
        while (last < items.size() && items[last].prefix == items[first].prefix) ++last;
        const PrefixKey& prefix = items[first].prefix;
        const u32* parent = covers.find(prefix);
        const u32 state = sources_.inside(parent != nullptr ? *parent : sources_.base(),
                                          std::span(&items[first], last - first));
        covers.push(prefix, state);
        prefixes.push_back({prefix, sources_.row(state)});
    }
    return build_lpm(std::move(prefixes), sources_.row(sources_.base()));
}

Result<struct image_policy> PolicyBuilder::write(ImageWriter& writer) {
    if (rows_.overflown()) {
        return make_error(
            "{}: the policy's {} rules tell more than {} combinations of a field apart: expected fewer",
            config_.policy.rules.front().where.text(), rows_.rules(), RowSet::limit);
    }
    struct image_policy out {};
    if (rows_.rules() == 0) return out;
    out.row_lines = rows_.row_lines();
    out.words = rows_.words();
    out.rows = writer.add(rows_.lines());
    out.rules = writer.add(lines_of(rules_));
    out.rule_count = rows_.rules();
    out.protocols = writer.add(lines_of(fields_.protocols));
    out.destination_ports = writer.add(lines_of(fields_.destination_ports));
    out.source_ports = writer.add(lines_of(fields_.source_ports));
    out.dscp = writer.add(lines_of(fields_.dscp));
    out.ports = writer.add(lines_of(fields_.ports));
    out.fqdn = writer.add(lines_of(fields_.fqdn));
    out.no_ports_row = fields_.no_ports_row;
    out.no_service_row = fields_.no_service_row;
    out.enforced_row = fields_.enforced_row;
    return out;
}

}  // namespace sluice::compile
