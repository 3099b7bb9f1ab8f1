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

// What arrives at a listener.
enum class Arrives : u8 {
    as_addressed,
    by_program,  // what the sk_lookup program leads here, for many addresses and ports
    inbound,     // intercepted: for this host
    outbound     // and from it, or through it
};

struct ListenPoint {
    Endpoint at;  // by_program: where the sockets are bound, which nobody connects to
    u8 protocol = 6;
    Arrives arrives = Arrives::as_addressed;
    bool transparent = false;  // takes what is addressed to others (IP_TRANSPARENT)

    bool group() const { return arrives == Arrives::by_program; }
    bool intercepts() const { return arrives == Arrives::inbound || arrives == Arrives::outbound; }
    bool operator==(const ListenPoint&) const = default;
};

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
    bool transparent = false;     // backends see the client's address
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
    std::vector<ListenPoint> interception_points;
    // What is intercepted and no service claims, each when there are points for it. Their one backend is
    // wherever a connection was going.
    std::optional<ServiceSettings> inbound;
    std::optional<ServiceSettings> outbound;
    bool mark_connections = false;  // they would be intercepted themselves

    const ServiceSettings* intercepted(Arrives arrives) const {
        if (arrives == Arrives::inbound && inbound) return &*inbound;
        return arrives == Arrives::outbound && outbound ? &*outbound : nullptr;
    }
    u16 original_id() const { return static_cast<u16>(backend_ids); }  // of the backend just mentioned

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
