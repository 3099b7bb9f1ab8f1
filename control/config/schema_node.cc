// SPDX-License-Identifier: Apache-2.0
#include "control/config/schema.h"

namespace sluice::config {

namespace {

Codec<std::string> word(const std::vector<std::string>& words) {
    std::vector<std::pair<std::string, std::string>> choices;
    for (const std::string& each : words) choices.emplace_back(each, each);
    return one_of<std::string>(std::move(choices));
}

const Schema<Tables>& tables_schema() {
    static const auto schema =
        Schema<Tables>("Numbers of entries. Each is rounded up to a power of two.")
            .key("flows", &Tables::flows, integer<uint32_t>(1024, 268435456), "1048576", "flows")
            .key("sources", &Tables::sources, integer<uint32_t>(64, 16777216), "65536",
                 "sources with a rate limit's state")
            .key("services", &Tables::services, integer<uint32_t>(16, 1048576), "4096",
                 "services times their ports")
            .key("backends", &Tables::backends, integer<uint32_t>(16, 1048576), "65536",
                 "backends of all services")
            .key("fragments", &Tables::fragments, integer<uint32_t>(64, 16777216), "16384",
                 "fragmented packets under way");
    return schema;
}

const Schema<Timeouts>& timeouts_schema() {
    static const auto schema =
        Schema<Timeouts>("How long a silent flow is remembered.")
            .key("tcp_syn", &Timeouts::tcp_syn, duration("1s", "1h"), "30s", "TCP, not yet established")
            .key("tcp_established", &Timeouts::tcp_established, duration("1s", "168h"), "1h",
                 "TCP, established")
            .key("tcp_closing", &Timeouts::tcp_closing, duration("1s", "1h"), "30s", "TCP after FIN or RST")
            .key("udp", &Timeouts::udp, duration("1s", "24h"), "60s", "UDP")
            .key("icmp", &Timeouts::icmp, duration("1s", "1h"), "10s", "ICMP and ICMPv6 echo")
            .key("other", &Timeouts::other, duration("1s", "24h"), "60s", "all other protocols");
    return schema;
}

const Schema<QosClass>& qos_class_schema() {
    static const auto schema = Schema<QosClass>("A class of traffic.")
                                   .key("priority", &QosClass::priority, integer<uint8_t>(0, 3), required,
                                        "its number, which rules name; 0 is served first")
                                   .key("share", &QosClass::share, integer<uint32_t>(1, 100), required,
                                        "percent of the link under load; all classes make at most 100");
    return schema;
}

const Schema<Qos>& qos_schema() {
    static const auto schema =
        Schema<Qos>("Shares of a loaded link.")
            .key("classes", &Qos::classes, list(mapping(qos_class_schema()), Empty::refused), required,
                 "the classes");
    return schema;
}

const Schema<Metrics>& metrics_schema() {
    static const auto schema =
        Schema<Metrics>("The Prometheus exporter, `/healthz` and `/readyz`.")
            .key("listen", &Metrics::listen, endpoint(), "0.0.0.0:8082", "where it listens");
    return schema;
}

const Schema<Diagnostics>& diagnostics_schema() {
    static const auto schema =
        Schema<Diagnostics>("The connection table as JSON, and diagnostics mode.")
            .key("listen", &Diagnostics::listen, endpoint(), "127.0.0.1:4100",
                 "where the connection table is served")
            .key("directory", &Diagnostics::directory, absolute_path(4095), "/var/lib/sluice/diagnostics",
                 "where captures are written")
            .key("enabled", &Diagnostics::enabled, boolean(), "false", "verbose log and captures");
    return schema;
}

const Schema<Control>& control_schema() {
    static const auto schema =
        Schema<Control>("The control socket, which `sluicectl` uses.")
            .key("socket", &Control::socket, absolute_path(107), "/run/sluice/sluice.sock", "its path");
    return schema;
}

const Schema<State>& state_schema() {
    static const auto schema = Schema<State>("What outlives the daemon.")
                                   .key("bpffs", &State::bpffs, absolute_path(255), "/sys/fs/bpf/sluice",
                                        "where maps, programs and links are pinned");
    return schema;
}

const Schema<Log>& log_schema() {
    static const auto schema =
        Schema<Log>("The daemon's log, on standard error.")
            .key("level", &Log::level, word({"trace", "debug", "info", "warn", "error", "critical", "off"}),
                 "info", "the least important that is logged")
            .key("format", &Log::format, word({"text", "json"}), "text",
                 "lines for people, or one JSON object per line")
            .key("access", &Log::access, any_text("a file's path, or - for standard output"), none,
                 "where proxied connections are logged, a line each when they end");
    return schema;
}

}  // namespace

const Schema<Config>& config_schema() {
    static const auto schema =
        Schema<Config>("The whole configuration.")
            .key("version", &Config::version, integer<uint32_t>(1, 1), required, "of this format")
            .key("interfaces", &Config::interfaces, list(mapping(interface_schema())), "[]",
                 "what sluice drives")
            .key("workers", &Config::workers, mapping(workers_schema()), none, "threads")
            .key("policy", &Config::policy, mapping(policy_schema()), none, "what may pass")
            .key("services", &Config::services, list(mapping(service_schema())), "[]",
                 "what is load-balanced")
            .key("tunnels", &Config::tunnels, list(mapping(tunnel_endpoint_schema())), "[]",
                 "what is decapsulated")
            .key("interception", &Config::interception, mapping(interception_schema()), none,
                 "transparent interception")
            .key("routes", &Config::routes, list(mapping(route_schema())), "[]", "routes beside the kernel's")
            .key("neighbors", &Config::neighbors, list(mapping(neighbor_schema())), "[]",
                 "neighbours beside the kernel's")
            .key("tables", &Config::tables, mapping(tables_schema()), none, "sizes")
            .key("timeouts", &Config::timeouts, mapping(timeouts_schema()), none, "of flows")
            .key("qos", &Config::qos, optional(mapping(qos_schema())), none, "quality of service")
            .key("metrics", &Config::metrics, mapping(metrics_schema()), none, "exporter")
            .key("diagnostics", &Config::diagnostics, mapping(diagnostics_schema()), none, "diagnostics")
            .key("control", &Config::control, mapping(control_schema()), none, "control socket")
            .key("state", &Config::state, mapping(state_schema()), none, "persistent state")
            .key("log", &Config::log, mapping(log_schema()), none, "log");
    return schema;
}

}  // namespace sluice::config
