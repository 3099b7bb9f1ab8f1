// SPDX-License-Identifier: Apache-2.0
//
// What the proxy is told: the compiled snapshot, whose look-ups choose service, rule and backend as in the
// packet tiers, and per service what concerns connections only.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/io/sk_lookup/socket_lookup.h"
#include "dataplane/proxy/socket_address.h"
#include "dataplane/tables/image.h"

namespace sluice::proxy {

enum class Scheduler : u8 { hash, least_connections, round_robin };
enum class HeaderVersion : u8 { none, v1, v2 };

struct ServiceSettings {
    std::string name;
    u16 id = 0;  // in the image
    u8 protocol = 6;
    struct address vip {};
    u8 vip_length = 128;          // of the prefix, counted as in an IPv6 address
    std::vector<PortSpan> ports;  // ascending, disjoint
    Scheduler scheduler = Scheduler::hash;
    std::vector<u32> weights;  // by backend position in the image
    u32 connect_timeout_ms = 3000;
    u32 idle_timeout_ms = 900'000;
    HeaderVersion send_header = HeaderVersion::none;
    bool accept_header = false;
    std::optional<bool> splice;   // empty: by what moves
    u64 most_connections = 0;     // at a time; 0: no bound
    double new_connections = 0;   // per second; 0: no bound
    const char* label = nullptr;  // the name, interned: lives as long as the process

    // Whether a connection to `to` would come back to this service.
    bool claims(const Endpoint& to) const {
        const struct address cut = address_masked(&to.address, vip_length);
        if (!address_equal(&cut, &vip)) return false;
        return std::any_of(ports.begin(), ports.end(), [&](const PortSpan& span) {
            return to.port >= span.first && to.port <= span.last;
        });
    }
};

// Immutable once made; every loop holds the one it runs on.
struct Snapshot {
    std::shared_ptr<const void> owner;  // of the lines
    const image_line* lines = nullptr;
    u32 line_count = 0;
    u32 generation = 0;
    u32 backend_ids = 0;  // one past the highest in use
    u32 rule_ids = 0;
    std::vector<ServiceSettings> services;

    const ServiceSettings* service(u32 id) const {
        for (const ServiceSettings& each : services) {
            if (each.id == id) return &each;
        }
        return nullptr;
    }
};

struct Options {
    u32 threads = 0;                // 0: one per CPU that the process may use
    u64 buffer_bytes = 256u << 20;  // bound of what all connections together hold back
    u32 closed_records = 16384;     // remembered per thread
    u32 closed_seconds = 300;       // and for so long
    u64 udp_sessions = 131072;      // at a time, all threads
    std::string access_log;         // file; empty: none, "-": standard output
    bool access_log_json = false;
    u64 spin_ns = 50'000;  // how long a busy loop waits awake; 0: it sleeps at once
    std::string no_bpf;    // why no sk_lookup program may be used; empty: it may
};

}  // namespace sluice::proxy
