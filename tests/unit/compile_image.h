// SPDX-License-Identifier: Apache-2.0
//
// A compiled image under the packet path's own look-ups, and what tests build configurations from.
#pragma once

#include <gtest/gtest.h>

#include <random>

#include "control/compile/compiler.h"
#include "control/compile/prefix.h"
#include "dataplane/pipeline/policy.h"
#include "tests/unit/compile_naive.h"

namespace sluice::compile {

inline struct tables tables_of(const Lines& lines) {
    struct tables t {};
    t.image = lines.data();
    t.image_lines = static_cast<u32>(lines.size());
    return t;
}

inline u32 lpm_find(const struct tables& t, const struct image_lpm& lpm, const config::Address& a) {
    const struct address key = to_address(a);
    return image_lpm_find(&t, &lpm, &key);
}

inline config::Address addr(std::string_view text) { return *config::Address::parse(text); }
inline config::Prefix net(std::string_view text) { return *config::Prefix::parse(text); }

// The whole table of records at `line`.
template <typename T>
const T& record(const Snapshot& snapshot, u32 line, u32 index) {
    return *(reinterpret_cast<const T*>(snapshot.lines.data() + line) + index);
}

inline const image_destination& destination(const Snapshot& snapshot, const config::Address& a) {
    const u32 index = lpm_find(tables_of(snapshot.lines), snapshot.header().destination, a);
    return record<image_destination>(snapshot, snapshot.header().destinations, index);
}

// Id + 1 of the service that claims a packet; 0: none.
inline u32 claim(const Snapshot& snapshot, const naive::Packet& packet) {
    const struct tables t = tables_of(snapshot.lines);
    const image_destination& to = destination(snapshot, packet.destination);
    if (to.port_count == 0 || !packet.has_ports()) return 0;
    return image_service_of(&t, to.ports, to.port_count, packet.protocol, packet.destination_port);
}

// Position + 1 of the first rule that matches, as the packet path finds it; 0: none. `dry_run`: of the one in
// dry run that would have.
inline u32 match(const Snapshot& snapshot, const naive::Packet& packet, u32* dry_run = nullptr) {
    static pipeline_context context;
    context = {};
    context.h.source = to_address(packet.source);
    context.h.destination = to_address(packet.destination);
    context.h.protocol = packet.protocol;
    context.h.tcp_flags = packet.tcp_flags;
    context.h.icmp_type = packet.icmp_type;
    context.h.tos = static_cast<u8>(packet.dscp << 2);
    context.h.source_port = packet.source_port;
    context.h.destination_port = packet.destination_port;
    context.h.flags = packet.has_ports() ? HEADER_PORTS : 0;
    context.port = packet.port->number;
    context.policy_destination_row = destination(snapshot, packet.destination).policy_row;
    const image_header& header = snapshot.header();
    const u32 service = claim(snapshot, packet);
    context.policy_service_row =
        service != 0 ? record<image_service>(snapshot, header.services, service - 1).policy_row
                     : header.policy.no_service_row;
    struct pipeline s {};
    s.tables = tables_of(snapshot.lines);
    s.context = &context;
    if (header.policy.words == 0) return 0;
    policy_find(&s, &header.policy);
    if (dry_run != nullptr) *dry_run = context.dry_run;
    return context.rule;
}

// eth0 (1), its sub-interface eth0.200 (2) and eth1 (3).
inline Environment test_environment() {
    Environment environment;
    environment.ports = {{"eth0", 1, 0, {addr("10.0.0.254"), addr("2001:db8::fe")}},
                         {"eth0.200", 2, 200, {addr("10.200.0.1")}},
                         {"eth1", 3, 0, {}}};
    return environment;
}

inline config::Service test_service(std::string name, std::string_view vip, config::PortRanges ports) {
    config::Service service;
    service.name = std::move(name);
    service.vip = net(vip);
    service.ports = {ports.empty(), std::move(ports)};
    return service;
}

inline config::Backend test_backend(std::string_view address, std::optional<u16> port = {}) {
    config::Backend backend;
    backend.address = addr(address);
    backend.port = port;
    return backend;
}

inline Snapshot compiled(const config::Config& config, const Identities* previous = nullptr) {
    Result<Snapshot> snapshot = compile(config, test_environment(), previous);
    if (!snapshot) {
        ADD_FAILURE() << snapshot.error().message;
        return {};
    }
    return std::move(*snapshot);
}

}  // namespace sluice::compile
