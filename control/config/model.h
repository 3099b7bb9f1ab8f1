// SPDX-License-Identifier: Apache-2.0
//
// The whole configuration as plain typed data, exactly as the file states it (docs/configuration.md is its
// reference). Nothing here is compiled, resolved against the machine or looked up: an empty optional is
// "auto" or "not given", as the member says. Durations are milliseconds, rates are per second.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/config/address.h"

namespace sluice::config {

struct Node;

using Duration = std::chrono::milliseconds;

// Where in the configuration something was stated, for errors found later than at parsing.
struct Mark {
    std::shared_ptr<const std::string> file;  // empty for a configuration built by a program
    uint32_t line = 0;                        // from 1
    uint32_t column = 0;                      // from 1
    std::string path;                         // "services[2]"

    std::string text() const;  // "FILE:LINE:COLUMN: PATH", what an error message starts with
    bool operator==(const Mark&) const { return true; }  // a place is no part of a value
};

struct PortRange {
    uint16_t lo = 0;
    uint16_t hi = 0;  // inclusive
    auto operator<=>(const PortRange&) const = default;
};
using PortRanges = std::vector<PortRange>;  // ascending, disjoint, not touching

// --- interfaces and workers ---

enum class Tier : uint8_t { dpdk, xdp, af_xdp, epoll };
enum class Requirement : uint8_t { xdp_native, af_xdp, af_xdp_zero_copy, dpdk };
enum class HostPath : uint8_t { none, tap };

struct DpdkPort {
    std::string device;  // PCI address or vdev arguments
    uint32_t rx_queues = 1;
    uint32_t rx_descriptors = 1024;
    HostPath host_path = HostPath::none;
    bool operator==(const DpdkPort&) const = default;
};

struct Interface {
    Mark where;
    std::string name;
    std::optional<std::vector<Tier>> tiers;  // in order of preference; empty: auto
    std::vector<Requirement> require;
    std::optional<uint32_t> queues;
    std::vector<uint16_t> vlan;  // tags accepted, those of declared sub-interfaces included once validated
    std::optional<MacAddress> mac;
    std::optional<uint32_t> mtu;
    std::optional<std::vector<InterfaceAddress>> addresses;  // empty optional: the kernel's
    bool promiscuous = false;
    std::optional<DpdkPort> dpdk;

    // Set for a sub-interface, "eth0.200" beside a declared "eth0".
    std::string parent;
    uint16_t tag = 0;
    bool is_sub_interface() const { return !parent.empty(); }
    bool operator==(const Interface&) const = default;
};

enum class Poll : uint8_t { adaptive, busy, interrupt };

struct Workers {
    std::optional<std::vector<uint32_t>> cores;  // ascending; empty: auto
    std::optional<bool> numa;                    // empty: auto
    Poll poll = Poll::adaptive;
    uint32_t batch = 64;
    bool prefetch = true;
    bool operator==(const Workers&) const = default;
};

// --- policy ---

enum class DefaultAction : uint8_t { allow, drop };
enum class Action : uint8_t { allow, drop, reject, rate_limit, evaluate };
enum class RatePer : uint8_t { rule, source };
enum class RuleLog : uint8_t { off, sampled };

// Exactly one source is given. Prefixes of a file are in `prefixes` once loaded.
struct Set {
    Mark where;
    std::string
        file;  // as a path that can be opened: relative ones are resolved against the configuration's folder
    std::vector<Prefix> prefixes;
    std::vector<std::string> fqdn;
    bool operator==(const Set&) const = default;
};

// What one `from:` or `to:` lists; matches when any member does. Both empty: not given, matches all.
struct AddressMatch {
    std::vector<Prefix> prefixes;
    std::vector<std::string> sets;
    bool empty() const { return prefixes.empty() && sets.empty(); }
    bool operator==(const AddressMatch&) const = default;
};

// Bits as in the TCP header's flag byte: fin 1, syn 2, rst 4, psh 8, ack 16, urg 32, ece 64, cwr 128.
struct TcpFlags {
    uint8_t set = 0;
    uint8_t clear = 0;
    bool operator==(const TcpFlags&) const = default;
};

// Exactly one of packets and bytes is given.
struct Rate {
    std::optional<double> packets;  // per second
    std::optional<double> bytes;    // per second
    std::optional<uint64_t> burst;  // packets or bytes; empty: one second's worth
    RatePer per = RatePer::rule;
    bool operator==(const Rate&) const = default;
};

struct Schedule {
    uint8_t days = 0;           // bit 0 is Monday
    uint16_t start_minute = 0;  // of the day, UTC
    uint16_t end_minute = 0;    // exclusive; at most 1440, always greater than the start
    bool operator==(const Schedule&) const = default;
};

// An HTTP server that is asked about each new connection.
struct Authorizer {
    std::string url;
    Duration timeout{1000};
    DefaultAction on_failure = DefaultAction::drop;
    Duration cache{0};  // 0: every connection is asked about
    bool operator==(const Authorizer&) const = default;
};

struct When {
    std::optional<Schedule> schedule;
    std::optional<uint32_t> max_connections_per_source;
    std::optional<double> new_connections;  // per second
    std::optional<Authorizer> authorizer;
    DefaultAction overload = DefaultAction::drop;
    bool operator==(const When&) const = default;
};

// What a rule does not match, although its other keys do.
struct Except {
    Mark where;
    AddressMatch from;
    AddressMatch to;
    PortRanges ports;         // destination; empty: not given
    PortRanges source_ports;  // empty: not given
    bool operator==(const Except&) const = default;
};

// Every given match key must match. IP protocol numbers as IANA assigns them.
struct Rule {
    Mark where;
    std::string name;
    AddressMatch from;
    AddressMatch to;
    std::optional<uint8_t> protocol;
    PortRanges ports;         // destination; empty: not given
    PortRanges source_ports;  // empty: not given
    PortRanges icmp_types;    // ranges of 0 to 255; empty: not given
    std::optional<TcpFlags> tcp_flags;
    std::string interface;  // empty: not given
    std::optional<uint16_t> vlan;
    std::optional<uint8_t> dscp;
    std::string service;  // empty: not given
    Except except;
    Action action = Action::allow;
    bool dry_run = false;      // counts what it matches and decides nothing
    std::optional<Rate> rate;  // given exactly when the action is rate_limit
    std::optional<When> when;  // given exactly when the action is evaluate
    std::optional<uint8_t> set_dscp;
    std::optional<uint8_t> priority;
    RuleLog log = RuleLog::off;
    bool stateful = true;
    bool operator==(const Rule&) const = default;
};

struct Policy {
    DefaultAction default_action = DefaultAction::allow;
    bool tcp_pickup = true;
    DefaultAction ip_options = DefaultAction::allow;
    std::vector<Prefix> managed;
    std::map<std::string, Set> sets;
    std::vector<Rule> rules;  // first match wins
    bool operator==(const Policy&) const = default;
};

// --- services ---

enum class Protocol : uint8_t { tcp = 6, udp = 17, sctp = 132 };
enum class Scheduler : uint8_t { maglev, round_robin, weighted_round_robin, least_connections, source_hash };
enum class Hash : uint8_t { five_tuple, source, source_and_port, destination_port, quic_connection_id };
enum class Mode : uint8_t { nat, fullnat, dsr_l2, dsr_ipip, dsr_gre, dsr_gue, proxy };
enum class SynCookies : uint8_t { off, under_flood, always };
enum class BackendState : uint8_t { active, draining, disabled };
enum class HealthType : uint8_t { tcp, http, udp };
enum class ProxyProtocol : uint8_t { none, v1, v2 };

struct ServicePorts {
    bool any = false;
    PortRanges ranges;  // empty exactly when any
    bool operator==(const ServicePorts&) const = default;
};

struct Backend {
    Mark where;
    Address address;
    std::optional<uint16_t> port;  // empty: the packet's destination port is kept
    uint32_t weight = 1;           // 0: gets no new flows
    BackendState state = BackendState::active;
    std::optional<uint32_t> server_id;
    bool operator==(const Backend&) const = default;
};

struct HealthCheck {
    HealthType type = HealthType::tcp;
    std::string path = "/";  // http only
    Duration interval{2000};
    Duration timeout{1000};
    uint32_t unhealthy = 3;  // failures in a row
    uint32_t healthy = 2;    // successes in a row
    bool operator==(const HealthCheck&) const = default;
};

struct Limits {
    std::optional<double> new_connections;  // per second
    std::optional<uint64_t> connections;
    bool operator==(const Limits&) const = default;
};

// The outer source of encapsulated packets: an address, or a prefix over which clients are spread.
struct Tunnel {
    std::optional<Prefix> source4;  // empty: the address of the interface the packet leaves by
    std::optional<Prefix> source6;
    uint16_t port = 6080;  // outer UDP destination port; used by dsr_gue only
    bool operator==(const Tunnel&) const = default;
};

struct Proxy {
    Duration connect_timeout{3000};
    Duration idle_timeout{15 * 60 * 1000};
    ProxyProtocol proxy_protocol = ProxyProtocol::none;
    bool accept_proxy_protocol = false;
    bool transparent = false;
    std::optional<bool> splice;  // empty: auto
    bool operator==(const Proxy&) const = default;
};

struct Service {
    Mark where;
    std::string name;
    Prefix vip;
    Protocol protocol = Protocol::tcp;
    ServicePorts ports;
    Scheduler scheduler = Scheduler::maglev;
    Hash hash = Hash::five_tuple;
    bool flow_table = true;
    bool answer_echo = true;
    Mode mode = Mode::nat;
    std::optional<Tier> tier;  // empty: auto
    SynCookies syn_cookies = SynCookies::off;
    std::vector<Backend> backends;
    std::optional<HealthCheck> health_check;
    Limits limits;
    Tunnel tunnel;
    Proxy proxy;
    bool operator==(const Service&) const = default;
};

// --- tunnels, interception, forwarding ---

enum class TunnelType : uint8_t { ipip, gue, gre, vxlan };

struct TunnelEndpoint {
    Mark where;
    TunnelType type = TunnelType::ipip;
    Address address;
    bool operator==(const TunnelEndpoint&) const = default;
};

struct Bypass {
    std::vector<Prefix> destinations;
    PortRanges ports;
    std::vector<Prefix> sources;
    bool operator==(const Bypass&) const = default;
};

struct Interception {
    bool enabled = false;
    uint16_t inbound = 4143;
    uint16_t outbound = 4140;
    bool transparent = false;
    Bypass bypass;
    bool operator==(const Interception&) const = default;
};

struct NextHop {
    Mark where;
    std::optional<Address> via;     // empty: directly attached
    std::optional<MacAddress> mac;  // empty: by neighbours
    std::string interface;
    uint32_t weight = 1;
    bool operator==(const NextHop&) const = default;
};

// Either a single next hop in the route itself or a list of them.
struct Route {
    Mark where;
    Prefix prefix;
    std::optional<Address> via;
    std::optional<MacAddress> mac;
    std::string interface;
    std::vector<NextHop> next_hops;  // at least one once loaded: a single one is put here, too
    bool operator==(const Route&) const = default;
};

struct Neighbor {
    Mark where;
    Address address;
    MacAddress mac;
    std::string interface;
    bool operator==(const Neighbor&) const = default;
};

}  // namespace sluice::config
