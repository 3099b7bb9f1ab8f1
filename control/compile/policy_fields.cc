// SPDX-License-Identifier: Apache-2.0
#include "control/compile/policy_fields.h"

#include <algorithm>

#include "dataplane/packet/headers.h"

namespace sluice::compile {

namespace {

using config::Rule;
using Rules = std::vector<Rule>;

// Row of the rules for which `matches` is true.
template <typename Matches>
u16 row_where(const Rules& rules, RowSet& rows, Matches matches) {
    RuleBits bits(rows.rules());
    for (u32 i = 0; i < rules.size(); ++i) {
        if (matches(rules[i])) bits.set(i);
    }
    return static_cast<u16>(rows.intern(bits));
}

bool in_ranges(const config::PortRanges& ranges, u32 value) {
    return std::any_of(ranges.begin(), ranges.end(),
                       [&](const config::PortRange& r) { return r.lo <= value && value <= r.hi; });
}

// A rule's share in the row for a protocol of which nothing but the number is known.
bool matches_protocol(const Rule& rule, u32 protocol) {
    return !rule.tcp_flags && rule.icmp_types.empty() && (!rule.protocol || *rule.protocol == protocol);
}

bool matches_tcp(const Rule& rule, u32 flags) {
    if (!rule.icmp_types.empty() || (rule.protocol && *rule.protocol != PROTOCOL_TCP)) return false;
    return !rule.tcp_flags ||
           ((flags & rule.tcp_flags->set) == rule.tcp_flags->set && (flags & rule.tcp_flags->clear) == 0);
}

bool matches_icmp(const Rule& rule, u32 protocol, u32 type) {
    if (rule.tcp_flags || (rule.protocol && *rule.protocol != protocol)) return false;
    return rule.icmp_types.empty() || in_ranges(rule.icmp_types, type);
}

std::vector<u16> protocol_table(const Rules& rules, RowSet& rows) {
    std::vector<u16> table;
    table.reserve(4 * 256);
    const auto add = [&](auto matches) {
        for (u32 value = 0; value < 256; ++value) {
            table.push_back(row_where(rules, rows, [&](const Rule& rule) { return matches(rule, value); }));
        }
    };
    add([](const Rule& rule, u32 protocol) { return matches_protocol(rule, protocol); });
    add([](const Rule& rule, u32 flags) { return matches_tcp(rule, flags); });
    add([](const Rule& rule, u32 type) { return matches_icmp(rule, PROTOCOL_ICMP, type); });
    add([](const Rule& rule, u32 type) { return matches_icmp(rule, PROTOCOL_ICMPV6, type); });
    return table;
}

struct Edge {
    u32 at;
    u32 rule;
    bool starts;
};

// `ranges`, or all ports, without `except`. Both are ascending and disjoint, as is what comes out.
config::PortRanges ports_of(const config::PortRanges& ranges, const config::PortRanges& except) {
    config::PortRanges out;
    for (config::PortRange left : ranges.empty() ? config::PortRanges{{0, 65535}} : ranges) {
        bool all = false;
        for (const config::PortRange& gap : except) {
            if (gap.hi < left.lo || left.hi < gap.lo || all) continue;
            if (left.lo < gap.lo) out.push_back({left.lo, static_cast<u16>(gap.lo - 1)});
            all = gap.hi >= left.hi;
            if (!all) left.lo = static_cast<u16>(gap.hi + 1);
        }
        if (!all) out.push_back(left);
    }
    return out;
}

// A sweep over the ports, stopping where some rule's range starts or ends.
std::vector<u16> port_table(const Rules& rules, config::PortRanges Rule::*key,
                            config::PortRanges config::Except::*except, RowSet& rows) {
    std::vector<Edge> edges;
    RuleBits bits(rows.rules());
    bool used = false;  // a rule may look at ports, and have none left
    for (u32 i = 0; i < rules.size(); ++i) {
        const bool looks = !(rules[i].*key).empty() || !(rules[i].except.*except).empty();
        used = used || looks;
        if (!looks) bits.set(i);
        if (!looks) continue;
        for (const config::PortRange& range : ports_of(rules[i].*key, rules[i].except.*except)) {
            edges.push_back({range.lo, i, true});
            edges.push_back({range.hi + 1U, i, false});
        }
    }
    if (!used) return {};
    // At one port ends go before starts: a rule's ranges may touch.
    std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
        return std::tie(a.at, a.starts) < std::tie(b.at, b.starts);
    });
    std::vector<u16> table(65536);
    u32 from = 0;
    for (size_t i = 0; i < edges.size();) {
        const u32 at = edges[i].at;
        if (at > from)
            std::fill(table.begin() + from, table.begin() + at, static_cast<u16>(rows.intern(bits)));
        for (; i < edges.size() && edges[i].at == at; ++i) {
            if (edges[i].starts)
                bits.set(edges[i].rule);
            else
                bits.clear(edges[i].rule);
        }
        from = at;
    }
    if (from < table.size())
        std::fill(table.begin() + from, table.end(), static_cast<u16>(rows.intern(bits)));
    return table;
}

std::vector<u16> dscp_table(const Rules& rules, RowSet& rows) {
    std::vector<u16> table;
    if (std::none_of(rules.begin(), rules.end(), [](const Rule& rule) { return rule.dscp.has_value(); }))
        return table;
    for (u32 dscp = 0; dscp < 64; ++dscp) {
        table.push_back(
            row_where(rules, rows, [&](const Rule& rule) { return !rule.dscp || *rule.dscp == dscp; }));
    }
    return table;
}

std::vector<u16> ingress_table(const Rules& rules, const Environment& environment, RowSet& rows) {
    const auto looks = [](const Rule& rule) { return !rule.interface.empty() || rule.vlan; };
    if (std::none_of(rules.begin(), rules.end(), looks)) return {};
    std::vector<u16> table(NODE_PORTS,
                           row_where(rules, rows, [&](const Rule& rule) { return !looks(rule); }));
    for (const LogicalPort& port : environment.ports) {
        table[port.number] = row_where(rules, rows, [&](const Rule& rule) {
            return (rule.interface.empty() || rule.interface == port.name) &&
                   (!rule.vlan || *rule.vlan == port.vlan);
        });
    }
    return table;
}

// Sets that the rule's `to` names and that are learned; validation sees to it that it names nothing else
// then.
u32 fqdn_sets_of(const Rule& rule, const Identities& ids) {
    u32 sets = 0;
    for (const std::string& name : rule.to.sets) {
        if (const auto id = ids.fqdn_sets.find(name)) sets |= 1U << *id;
    }
    return sets;
}

std::vector<u16> fqdn_table(const Rules& rules, const Identities& ids, RowSet& rows) {
    std::vector<u16> table;
    if (std::none_of(rules.begin(), rules.end(),
                     [&](const Rule& rule) { return fqdn_sets_of(rule, ids) != 0; }))
        return table;
    for (u32 member = 0; member < 1U << FQDN_SETS; ++member) {
        table.push_back(row_where(rules, rows, [&](const Rule& rule) {
            const u32 wanted = fqdn_sets_of(rule, ids);
            return wanted == 0 || (wanted & member) != 0;
        }));
    }
    return table;
}

}  // namespace

PolicyFields build_policy_fields(const config::Policy& policy, const Environment& environment,
                                 const Identities& ids, RowSet& rows) {
    const Rules& rules = policy.rules;
    PolicyFields fields;
    if (rules.empty()) return fields;
    fields.protocols = protocol_table(rules, rows);
    fields.destination_ports = port_table(rules, &Rule::ports, &config::Except::ports, rows);
    fields.source_ports = port_table(rules, &Rule::source_ports, &config::Except::source_ports, rows);
    fields.dscp = dscp_table(rules, rows);
    fields.ports = ingress_table(rules, environment, rows);
    fields.fqdn = fqdn_table(rules, ids, rows);
    fields.no_ports_row = row_where(
        rules, rows, [](const Rule& rule) { return rule.ports.empty() && rule.source_ports.empty(); });
    fields.no_service_row = service_row(rules, "", rows);
    fields.enforced_row = row_where(rules, rows, [](const Rule& rule) { return !rule.dry_run; });
    return fields;
}

u16 service_row(const Rules& rules, const std::string& service, RowSet& rows) {
    return row_where(rules, rows,
                     [&](const Rule& rule) { return rule.service.empty() || rule.service == service; });
}

}  // namespace sluice::compile
