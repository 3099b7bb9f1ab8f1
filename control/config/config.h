// SPDX-License-Identifier: Apache-2.0
//
// The configuration as a whole: the sections of model.h and the node-wide ones.
#pragma once

#include "control/config/model.h"

namespace sluice::config {

// Numbers of entries; tables round them up to a power of two.
struct Tables {
    uint32_t flows = 1048576;
    uint32_t sources = 65536;
    uint32_t services = 4096;
    uint32_t backends = 65536;
    uint32_t fragments = 16384;
    bool operator==(const Tables&) const = default;
};

struct Timeouts {
    Duration tcp_syn{30'000};
    Duration tcp_established{3'600'000};
    Duration tcp_closing{30'000};
    Duration udp{60'000};
    Duration icmp{10'000};
    Duration other{60'000};
    bool operator==(const Timeouts&) const = default;
};

struct QosClass {
    Mark where;
    uint8_t priority = 0;  // 0 is served first
    uint32_t share = 0;    // percent
    bool operator==(const QosClass&) const = default;
};

struct Qos {
    std::vector<QosClass> classes;
    bool operator==(const Qos&) const = default;
};

struct Metrics {
    Endpoint listen{*Address::parse("0.0.0.0"), 8082};
    bool operator==(const Metrics&) const = default;
};

struct Diagnostics {
    Endpoint listen{*Address::parse("127.0.0.1"), 4100};
    std::string directory = "/var/lib/sluice/diagnostics";
    bool enabled = false;
    bool operator==(const Diagnostics&) const = default;
};

struct Control {
    std::string socket = "/run/sluice/sluice.sock";
    bool operator==(const Control&) const = default;
};

struct State {
    std::string bpffs = "/sys/fs/bpf/sluice";
    bool operator==(const State&) const = default;
};

// As LogOptions of dataplane/base/log.h takes them.
struct Log {
    std::string level = "info";
    std::string format = "text";
    std::string access;  // file of the access log; empty: none, "-": standard output
    bool operator==(const Log&) const = default;
};

struct Config {
    uint32_t version = 1;
    std::vector<Interface> interfaces;
    Workers workers;
    Policy policy;
    std::vector<Service> services;
    std::vector<TunnelEndpoint> tunnels;
    Interception interception;
    std::vector<Route> routes;
    std::vector<Neighbor> neighbors;
    Tables tables;
    Timeouts timeouts;
    std::optional<Qos> qos;
    Metrics metrics;
    Diagnostics diagnostics;
    Control control;
    State state;
    Log log;

    // What was written, with places: check_supported() reads it and place_of() finds keys in it. May be reset
    // to save memory once the configuration is compiled.
    std::shared_ptr<const Node> document;
    std::shared_ptr<const std::string> file;
};

}  // namespace sluice::config
