// SPDX-License-Identifier: Apache-2.0
//
// Numbers that flows, counters and meters name things by. A thing that stays keeps its number from one
// snapshot to the next.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "control/config/config.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice::compile {

template <typename Key>
class IdTable {
public:
    // Numbers for `keys`, each given once: those in `previous` keep theirs, the others take the lowest free
    // ones. Fails with the index of the first key for which none below `limit` is left.
    std::optional<size_t> assign(const std::vector<Key>& keys, const IdTable* previous, u32 limit) {
        std::vector<bool> used(limit);
        if (previous != nullptr) {
            for (const Key& key : keys) {
                const auto id = previous->find(key);
                if (!id || *id >= limit) continue;
                set(key, *id);
                used[*id] = true;
            }
        }
        u32 next = 0;
        for (size_t i = 0; i < keys.size(); ++i) {
            if (ids_.contains(keys[i])) continue;
            while (next < limit && used[next]) ++next;
            if (next == limit) return i;
            set(keys[i], static_cast<u16>(next++));
        }
        return std::nullopt;
    }

    // A number as it was kept; false when key or number is taken already.
    bool adopt(const Key& key, u16 id) {
        if (ids_.contains(key) || name(id) != nullptr) return false;
        set(key, id);
        return true;
    }

    std::optional<u16> find(const Key& key) const {
        const auto at = ids_.find(key);
        return at == ids_.end() ? std::nullopt : std::optional(at->second);
    }
    u16 at(const Key& key) const { return ids_.at(key); }

    // The key of a number; nullptr when nothing has it.
    const Key* name(u32 id) const { return id < keys_.size() && keys_[id] ? &*keys_[id] : nullptr; }

    u32 bound() const { return static_cast<u32>(keys_.size()); }  // one past the highest number in use
    size_t count() const { return ids_.size(); }

private:
    void set(const Key& key, u16 id) {
        ids_[key] = id;
        if (keys_.size() <= id) keys_.resize(id + size_t{1});
        keys_[id] = key;
    }

    std::map<Key, u16> ids_;
    std::vector<std::optional<Key>> keys_;
};

struct BackendKey {
    std::string service;
    config::Address address;
    u16 port = 0;  // 0: the packet's own

    std::string text() const;  // "10.0.1.11:8080", "[2001:db8::1]:80", "10.0.2.11" without a port
    auto operator<=>(const BackendKey&) const = default;
};

struct Identities {
    IdTable<std::string> services;
    IdTable<BackendKey> backends;
    IdTable<std::string> rules;
    IdTable<std::string> fqdn_sets;  // below FQDN_SETS
};

// Fails when a name is there twice or when more is configured than `tables` (or the image) has room for.
Result<Identities> assign_identities(const config::Config& config, const Identities* previous);

BackendKey key_of(const config::Service& service, const config::Backend& backend);

}  // namespace sluice::compile
