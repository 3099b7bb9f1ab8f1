// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/sk_lookup/socket_lookup.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bpf/listeners.skel.h"
#include "dataplane/base/fd.h"
#include "dataplane/io/xdp/kernel_words.h"

namespace sluice {

namespace {

constexpr u32 protocol_bits = 32;

void add(listener_ports& ports, const std::vector<PortSpan>& spans) {
    for (const PortSpan& span : spans) {
        for (u32 port = span.first; port <= span.last; ++port) ports.bits[port / 64] |= u64{1} << port % 64;
    }
}

listener_prefix key_of(const LookupPrefix& prefix) {
    listener_prefix key{};
    key.length = protocol_bits + prefix.length;
    key.protocol = prefix.protocol;
    std::memcpy(key.address, &prefix.address, sizeof key.address);
    return key;
}

Status fill(const listeners_bpf& program, const LookupTable& table, const SocketLookup::Sockets& sockets) {
    for (u32 i = 0; i < table.port_sets.size(); ++i) {
        if (bpf_map_update_elem(bpf_map__fd(program.maps.port_sets), &i, &table.port_sets[i], BPF_ANY) != 0)
            return system_error(errno, "sk_lookup: map port_sets");
    }
    for (const auto& [prefix, index] : table.prefixes) {
        const listener_prefix key = key_of(prefix);
        if (bpf_map_update_elem(bpf_map__fd(program.maps.prefixes), &key, &index, BPF_ANY) != 0)
            return system_error(errno, "sk_lookup: map prefixes");
    }
    for (u32 group = 0; group < sockets.size(); ++group) {
        if (sockets[group] < 0) continue;
        const auto socket = static_cast<u64>(sockets[group]);
        if (bpf_map_update_elem(bpf_map__fd(program.maps.groups), &group, &socket, BPF_ANY) != 0)
            return system_error(errno, "sk_lookup: a listening socket");
    }
    return {};
}

}  // namespace

bool LookupPrefix::covers(const LookupPrefix& other) const {
    if (protocol != other.protocol || length > other.length) return false;
    const struct address cut = address_masked(&other.address, length);
    return address_equal(&cut, &address);
}

LookupTable lookup_table(const LookupClaims& claims) {
    LookupTable table;
    const auto same = [](const listener_ports& a, const listener_ports& b) {
        return std::memcmp(&a, &b, sizeof a) == 0;
    };
    for (const auto& [prefix, own] : claims) {
        listener_ports ports{};
        for (const auto& [other, spans] : claims) {
            if (other.covers(prefix)) add(ports, spans);
        }
        u32 at = 0;
        while (at < table.port_sets.size() && !same(table.port_sets[at], ports)) ++at;
        if (at == table.port_sets.size()) table.port_sets.push_back(ports);
        table.prefixes.emplace(prefix, at);
    }
    return table;
}

class SocketLookup::Prepared {
public:
    explicit Prepared(listeners_bpf* skeleton) : skeleton_(skeleton) {}
    ~Prepared() { listeners_bpf__destroy(skeleton_); }
    Prepared(const Prepared&) = delete;
    Prepared& operator=(const Prepared&) = delete;

    const listeners_bpf& operator*() const { return *skeleton_; }

private:
    listeners_bpf* skeleton_;
};

Result<std::shared_ptr<SocketLookup::Prepared>> SocketLookup::prepare(const LookupClaims& claims,
                                                                      const Sockets& sockets) {
    const KernelWords words;
    listeners_bpf* opened = listeners_bpf__open();
    if (opened == nullptr) return system_error(errno, "sk_lookup: the embedded object cannot be opened");
    auto next = std::make_shared<Prepared>(opened);
    const LookupTable table = lookup_table(claims);
    const auto entries = [](size_t count) { return static_cast<u32>(std::max<size_t>(count, 1)); };
    bpf_map__set_max_entries(opened->maps.prefixes, entries(table.prefixes.size()));
    bpf_map__set_max_entries(opened->maps.port_sets, entries(table.port_sets.size()));
    if (const int code = listeners_bpf__load(opened); code != 0)
        return system_error(-code, "sk_lookup: the program cannot be loaded{}", words.suffix());
    if (Status status = fill(*opened, table, sockets); !status) return status.error();
    return next;
}

Result<std::unique_ptr<SocketLookup>> SocketLookup::open() {
    auto empty = prepare({}, {-1, -1, -1, -1});
    if (!empty) return empty.error();
    const KernelWords words;
    const UniqueFd space(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!space) return system_error(errno, "/proc/thread-self/ns/net");
    std::unique_ptr<SocketLookup> lookup(new SocketLookup);
    lookup->link_ = bpf_program__attach_netns((***empty).progs.sluice_listeners, space.get());
    if (lookup->link_ == nullptr)
        return system_error(errno, "sk_lookup: the program cannot be attached{}", words.suffix());
    lookup->current_ = std::move(*empty);
    return lookup;
}

Status SocketLookup::commit(std::shared_ptr<Prepared> next) {
    if (const int code = bpf_link__update_program(link_, (**next).progs.sluice_listeners); code != 0)
        return system_error(-code, "sk_lookup: the program cannot be exchanged");
    current_ = std::move(next);
    return {};
}

SocketLookup::~SocketLookup() { bpf_link__destroy(link_); }

}  // namespace sluice
