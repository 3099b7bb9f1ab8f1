// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/xdp_ports.h"

#include <array>
#include <cstring>
#include <random>

namespace sluice {
namespace {

constexpr int seamless_tries = 200'000;
constexpr int tries = 2'000'000;

void store_slot(node_slot& at, const node_slot& value) {
    u64 word;
    std::memcpy(&word, &value, sizeof word);
    __atomic_store_n(reinterpret_cast<u64*>(&at), word, __ATOMIC_RELEASE);
}

bool same_key(const node_slot& slot, u32 ifindex, u16 vlan) {
    return slot.ifindex == ifindex && slot.vlan == vlan;
}

}  // namespace

std::vector<PortTable::Key> PortTable::keys(u8 without) const {
    std::vector<Key> found;
    for (const node_slot& slot : node_.slots) {
        if (slot.port == 0 || slot.port == without) continue;
        const Key key{slot.ifindex, slot.vlan, slot.port};
        bool known = false;
        for (const Key& other : found) known = known || other.port == key.port;
        if (!known) found.push_back(key);
    }
    return found;
}

// Finds a multiplier under which no two keys share a slot: the present one, else one whose slots are free or
// the keys' own at present, so that both layouts can stand at once, else any. Then writes slots, multiplier,
// and empties the rest.
bool PortTable::place(const std::vector<Key>& keys) {
    std::array<u32, NODE_PORTS> slots{};
    const auto fits = [&](u32 multiplier, bool seamless) {
        std::array<bool, NODE_SLOTS> used{};
        for (size_t i = 0; i < keys.size(); ++i) {
            const u32 slot = node_slot_index(keys[i].ifindex, keys[i].vlan, multiplier);
            const node_slot& present = node_.slots[slot];
            if (used[slot]) return false;
            if (seamless && present.port != 0 && !same_key(present, keys[i].ifindex, keys[i].vlan))
                return false;
            used[slot] = true;
            slots[i] = slot;
        }
        return true;
    };
    std::minstd_rand random(node_.slot_multiplier + 1);
    u32 multiplier = node_.slot_multiplier;
    bool found = multiplier != 0 && fits(multiplier, false);
    for (int i = 0; !found && i < tries; ++i) {
        multiplier = static_cast<u32>(random()) * 2654435761u | 1;
        found = fits(multiplier, i < seamless_tries);
    }
    if (!found) return false;
    for (size_t i = 0; i < keys.size(); ++i)
        store_slot(node_.slots[slots[i]], {keys[i].ifindex, keys[i].vlan, keys[i].port, 0});
    __atomic_store_n(&node_.slot_multiplier, multiplier, __ATOMIC_RELEASE);
    std::array<bool, NODE_SLOTS> in_use{};
    for (size_t i = 0; i < keys.size(); ++i) in_use[slots[i]] = true;
    for (u32 slot = 0; slot < NODE_SLOTS; ++slot) {
        if (!in_use[slot]) store_slot(node_.slots[slot], {});
    }
    return true;
}

Status PortTable::set(u8 number, const node_port& port) {
    if (number == 0 || number >= NODE_PORTS)
        return make_error("port number {}: expected 1 to {}", number, NODE_PORTS - 1);
    if (port.ifindex == 0) return make_error("port {}: expected the index of a device, not 0", number);
    std::vector<Key> all = keys(number);
    for (const Key& key : all) {
        if (key.ifindex == port.ifindex && key.vlan == port.vlan) {
            return make_error("port {}: device {} with tag {} is port {} already", number, port.ifindex,
                              port.vlan, key.port);
        }
    }
    node_.ports[number] = port;
    all.push_back({port.ifindex, port.vlan, number});
    if (!place(all)) return make_error("port {}: no perfect hash found for {} ports", number, all.size());
    return {};
}

void PortTable::clear(u8 number) {
    for (node_slot& slot : node_.slots) {
        if (slot.port == number && number != 0) store_slot(slot, {});
    }
}

}  // namespace sluice
