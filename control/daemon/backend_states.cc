// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/backend_states.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control/daemon/words.h"

namespace sluice::control {

namespace {

using Json = nlohmann::json;
using compile::BackendKey;

Json keys_json(const std::set<BackendKey>& keys) {
    Json list = Json::array();
    for (const BackendKey& key : keys) list.push_back({key.service, key.address.text(), key.port});
    return list;
}

Status read_keys(const Json& all, const char* name, std::set<BackendKey>& keys) {
    const Error refused = make_error("{}: expected a list of [service, address, port]", name);
    if (!all.is_object() || !all.contains(name) || !all[name].is_array()) return refused;
    for (const Json& entry : all[name]) {
        if (!entry.is_array() || entry.size() != 3 || !entry[0].is_string() || !entry[1].is_string() ||
            !entry[2].is_number_unsigned() || entry[2].get<u64>() > 65535)
            return refused;
        const auto address = config::Address::parse(entry[1].get<std::string>());
        if (!address) return refused;
        keys.insert({entry[0].get<std::string>(), *address, entry[2].get<u16>()});
    }
    return {};
}

template <typename Visit>
void each_backend(const config::Config& config, const Visit& visit) {
    for (const config::Service& service : config.services) {
        for (const config::Backend& backend : service.backends)
            visit(compile::key_of(service, backend), backend);
    }
}

// Those of the service that NAME stands for.
std::vector<const config::Backend*> called(const config::Service& service, const std::string& name) {
    std::vector<const config::Backend*> found;
    for (const config::Backend& backend : service.backends) {
        if (compile::key_of(service, backend).text() == name) return {&backend};
        if (backend.address.text() == name) found.push_back(&backend);
    }
    return found;
}

std::string names_of(const config::Service& service) {
    std::string names;
    for (const config::Backend& backend : service.backends)
        names += (names.empty() ? "" : ", ") + compile::key_of(service, backend).text();
    return names.empty() ? "it has none" : names;
}

}  // namespace

std::string BackendStates::kept() const {
    return Json{{"drained", keys_json(drained_)}, {"down", keys_json(checker_.down())}}.dump();
}

Status BackendStates::restore(const std::string& text) {
    const Json all = Json::parse(text, nullptr, false);
    if (Status status = read_keys(all, "drained", drained_); !status) return status;
    return read_keys(all, "down", was_down_);
}

void BackendStates::follow(const config::Config& config) {
    std::set<BackendKey> there;
    each_backend(config, [&](const BackendKey& key, const config::Backend&) { there.insert(key); });
    std::erase_if(drained_, [&](const BackendKey& key) { return !there.contains(key); });
    checker_.configure(config.services, was_down_);
    was_down_.clear();
}

BackendStates::States BackendStates::differing(const config::Config& config) const {
    States states;
    for (const config::Service& service : config.services) {
        for (const config::Backend& backend : service.backends) {
            const BackendKey key = compile::key_of(service, backend);
            const bool down = service.health_check && (!checker_.is_up(key) || was_down_.contains(key));
            if (backend.state == config::BackendState::disabled) continue;
            if (down)
                states[key] = config::BackendState::disabled;
            else if (drained_.contains(key))
                states[key] = config::BackendState::draining;
        }
    }
    return states;
}

std::set<BackendKey> BackendStates::off(const config::Config& config) const {
    const States states = differing(config);
    std::set<BackendKey> keys;
    each_backend(config, [&](const BackendKey& key, const config::Backend& backend) {
        const auto at = states.find(key);
        const config::BackendState state = at != states.end() ? at->second : backend.state;
        if (state == config::BackendState::disabled) keys.insert(key);
    });
    return keys;
}

Status BackendStates::set_drained(const config::Config& config, const std::string& service,
                                  const std::string& backend, bool drained) {
    const auto at = std::find_if(config.services.begin(), config.services.end(),
                                 [&](const config::Service& each) { return each.name == service; });
    if (at == config.services.end())
        return make_error("service \"{}\": expected one that is configured", service);
    const auto found = called(*at, backend);
    if (found.size() != 1)
        return make_error("backend \"{}\": expected one of service {}: {}", backend, service, names_of(*at));
    if (found.front()->state != config::BackendState::active)
        return make_error("backend \"{}\": the configuration says {}: change it there", backend,
                          word(found.front()->state));
    const BackendKey key = compile::key_of(*at, *found.front());
    if (drained)
        drained_.insert(key);
    else
        drained_.erase(key);
    return {};
}

void BackendStates::describe(const BackendKey& key, config::BackendState configured,
                             api::BackendReport& out) const {
    out.configured = word(configured);
    out.drained = drained_.contains(key);
    out.health = checker_.health(key);
    if (out.health && !out.health->up)
        out.state = "down";
    else if (out.drained && configured == config::BackendState::active)
        out.state = word(config::BackendState::draining);
}

}  // namespace sluice::control
