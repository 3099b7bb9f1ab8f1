// SPDX-License-Identifier: Apache-2.0
#include "control/compile/identities.h"

#include <algorithm>
#include <set>

#include "dataplane/tables/image.h"

namespace sluice::compile {

namespace {

// Flows hold id + 1 in 16 bits, 0 standing for none.
constexpr u32 most_ids = 65535;

// The things of one kind, with the place of each for messages.
template <typename Key>
struct Named {
    std::vector<Key> keys;
    std::vector<const config::Mark*> places;

    void add(Key key, const config::Mark& place) {
        keys.push_back(std::move(key));
        places.push_back(&place);
    }
};

template <typename Key>
Status assign(IdTable<Key>& table, const Named<Key>& named, const IdTable<Key>* previous, u32 limit,
              std::string_view what, std::string_view bound) {
    std::set<Key> seen;
    for (size_t i = 0; i < named.keys.size(); ++i) {
        if (!seen.insert(named.keys[i]).second) {
            return make_error("{}: expected each {} once", named.places[i]->text(), what);
        }
    }
    const auto failed = table.assign(named.keys, previous, limit);
    if (!failed) return {};
    return make_error("{}: {} {}s are configured: expected at most {} ({})", named.places[*failed]->text(),
                      named.keys.size(), what, limit, bound);
}

}  // namespace

std::string BackendKey::text() const {
    if (port == 0) return address.text();
    return fmt::format(fmt::runtime(address.is_v4() ? "{}:{}" : "[{}]:{}"), address.text(), port);
}

BackendKey key_of(const config::Service& service, const config::Backend& backend) {
    return {service.name, backend.address, backend.port.value_or(0)};
}

Result<Identities> assign_identities(const config::Config& config, const Identities* previous) {
    Named<std::string> services;
    Named<BackendKey> backends;
    Named<std::string> rules;
    for (const config::Service& service : config.services) {
        services.add(service.name, service.where);
        for (const config::Backend& backend : service.backends)
            backends.add(key_of(service, backend), backend.where);
    }
    for (const config::Rule& rule : config.policy.rules) rules.add(rule.name, rule.where);
    Named<std::string> fqdn_sets;
    for (const auto& [name, set] : config.policy.sets) {
        if (!set.fqdn.empty()) fqdn_sets.add(name, set.where);
    }

    Identities ids;
    const bool again = previous != nullptr;
    Status status = assign(ids.services, services, again ? &previous->services : nullptr,
                           std::min(config.tables.services, most_ids), "service", "tables.services");
    if (!status) return status.error();
    status = assign(ids.backends, backends, again ? &previous->backends : nullptr,
                    std::min(config.tables.backends, most_ids), "backend", "tables.backends");
    if (!status) return status.error();
    status = assign(ids.rules, rules, again ? &previous->rules : nullptr, u32{POLICY_MAX_WORDS} * 64, "rule",
                    "what a policy holds");
    if (!status) return status.error();
    status = assign(ids.fqdn_sets, fqdn_sets, again ? &previous->fqdn_sets : nullptr, FQDN_SETS, "FQDN set",
                    "what a policy holds");
    if (!status) return status.error();
    return ids;
}

}  // namespace sluice::compile
