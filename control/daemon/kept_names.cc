// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/kept_names.h"

#include <nlohmann/json.hpp>

namespace sluice::control {

namespace {

using Json = nlohmann::json;

constexpr u64 most = 65535;

Json names(const compile::IdTable<std::string>& table) {
    Json list = Json::array();
    for (u32 id = 0; id < table.bound(); id++) {
        if (const std::string* name = table.name(id)) list.push_back({*name, id});
    }
    return list;
}

// The number at the end of an entry; nothing when the entry is not one of SIZE members.
std::optional<u16> number_at(const Json& entry, size_t at) {
    if (!entry.is_array() || entry.size() != at + 1 || !entry[at].is_number_unsigned()) return std::nullopt;
    const u64 number = entry[at].get<u64>();
    return number < most ? std::optional(static_cast<u16>(number)) : std::nullopt;
}

bool read_names(const Json& list, compile::IdTable<std::string>& table) {
    for (const Json& entry : list) {
        const auto id = number_at(entry, 1);
        if (!id || !entry[0].is_string() || !table.adopt(entry[0].get<std::string>(), *id)) return false;
    }
    return true;
}

bool read_backends(const Json& list, compile::IdTable<compile::BackendKey>& table) {
    for (const Json& entry : list) {
        const auto id = number_at(entry, 3);
        if (!id || !entry[0].is_string() || !entry[1].is_string() || !entry[2].is_number_unsigned())
            return false;
        const auto address = config::Address::parse(entry[1].get<std::string>());
        if (!address || entry[2].get<u64>() > most) return false;
        const compile::BackendKey key{entry[0].get<std::string>(), *address, entry[2].get<u16>()};
        if (!table.adopt(key, *id)) return false;
    }
    return true;
}

}  // namespace

std::string kept_names(const compile::Identities& identities) {
    Json backends = Json::array();
    for (u32 id = 0; id < identities.backends.bound(); id++) {
        const compile::BackendKey* key = identities.backends.name(id);
        if (key != nullptr) backends.push_back({key->service, key->address.text(), key->port, id});
    }
    const Json all{{"services", names(identities.services)},
                   {"backends", backends},
                   {"rules", names(identities.rules)},
                   {"fqdn_sets", names(identities.fqdn_sets)}};
    return all.dump();
}

Result<compile::Identities> identities_of(const std::string& text) {
    const Json all = Json::parse(text, nullptr, false);
    compile::Identities ids;
    for (const char* kind : {"services", "backends", "rules", "fqdn_sets"}) {
        if (!all.is_object() || !all.contains(kind) || !all[kind].is_array())
            return make_error("expected a list of {}", kind);
    }
    if (!read_names(all["services"], ids.services))
        return make_error("services: expected [name, number] each");
    if (!read_backends(all["backends"], ids.backends))
        return make_error("backends: expected [service, address, port, number] each");
    if (!read_names(all["rules"], ids.rules)) return make_error("rules: expected [name, number] each");
    if (!read_names(all["fqdn_sets"], ids.fqdn_sets))
        return make_error("fqdn_sets: expected [name, number] each");
    return ids;
}

}  // namespace sluice::control
