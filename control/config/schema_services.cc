// SPDX-License-Identifier: Apache-2.0
#include "control/config/schema.h"

namespace sluice::config {

namespace {

Codec<ServicePorts> service_ports() {
    auto parse = [](std::string_view text) -> std::optional<ServicePorts> {
        if (text == "any") return ServicePorts{true, {}};
        const auto ranges = parse_ranges(text, 1, 65535);
        if (!ranges || ranges->empty()) return std::nullopt;
        return ServicePorts{false, *ranges};
    };
    return scalar<ServicePorts>("any, or ports from 1 to 65535 such as \"80,8000-8100\"", std::move(parse),
                                {"any"});
}

const Schema<Backend>& backend_schema() {
    static const auto schema =
        Schema<Backend>("A server behind a service.")
            .key("address", &Backend::address, address(), required, "its address")
            .key("port", &Backend::port, optional(integer<uint16_t>(1, 65535)), none,
                 "its port; without it the packet's destination port is kept")
            .key("weight", &Backend::weight, integer<uint32_t>(0, 65535), "1",
                 "share of new flows relative to the others; 0: none")
            .key("state", &Backend::state,
                 one_of<BackendState>({{"active", BackendState::active},
                                       {"draining", BackendState::draining},
                                       {"disabled", BackendState::disabled}}),
                 "active", "draining: keeps its flows and gets no new ones; disabled: gets nothing")
            .key("server_id", &Backend::server_id, optional(integer<uint32_t>(0, 16777215)), none,
                 "what it encodes into QUIC connection IDs");
    return schema;
}

const Schema<HealthCheck>& health_schema() {
    static const auto schema =
        Schema<HealthCheck>("How backends are probed. Without it all are taken to be up.")
            .key("type", &HealthCheck::type,
                 one_of<HealthType>(
                     {{"tcp", HealthType::tcp}, {"http", HealthType::http}, {"udp", HealthType::udp}}),
                 "tcp", "what a probe is")
            .key("path", &HealthCheck::path, absolute_path(1024), "/", "for http: what is asked for")
            .key("interval", &HealthCheck::interval, duration("10ms", "1h"), "2s", "between two probes")
            .key("timeout", &HealthCheck::timeout, duration("1ms", "1h"), "1s",
                 "for an answer; at most the interval")
            .key("unhealthy", &HealthCheck::unhealthy, integer<uint32_t>(1, 1000), "3",
                 "failures in a row that take a backend down")
            .key("healthy", &HealthCheck::healthy, integer<uint32_t>(1, 1000), "2",
                 "successes in a row that take it up");
    return schema;
}

const Schema<Limits>& limits_schema() {
    static const auto schema =
        Schema<Limits>("Bounds on what a service takes; beyond them packets of new connections drop.")
            .key("new_connections", &Limits::new_connections, optional(rate()), none,
                 "new connections in a time")
            .key("connections", &Limits::connections, optional(integer<uint64_t>(1, 1'000'000'000'000)), none,
                 "connections at a time");
    return schema;
}

const Schema<Tunnel>& tunnel_schema() {
    static const auto schema =
        Schema<Tunnel>(
            "Outer headers of the dsr_ipip, dsr_gre and dsr_gue modes. A prefix as source spreads clients "
            "over it, for receive-side scaling at the backend.")
            .key("source4", &Tunnel::source4, optional(prefix_of_family(true)), none,
                 "outer IPv4 source; without it the address of the interface the packet leaves by")
            .key("source6", &Tunnel::source6, optional(prefix_of_family(false)), none,
                 "outer IPv6 source; likewise")
            .key("port", &Tunnel::port, integer<uint16_t>(1, 65535), "6080",
                 "outer UDP destination port; of use in dsr_gue only");
    return schema;
}

const Schema<Proxy>& proxy_schema() {
    static const auto schema =
        Schema<Proxy>("Settings of the proxy mode.")
            .key("connect_timeout", &Proxy::connect_timeout, duration("1ms", "1h"), "3s",
                 "to connect to a backend")
            .key("idle_timeout", &Proxy::idle_timeout, duration("1s", "168h"), "15m",
                 "after which a silent connection is closed")
            .key("proxy_protocol", &Proxy::proxy_protocol,
                 one_of<ProxyProtocol>(
                     {{"none", ProxyProtocol::none}, {"v1", ProxyProtocol::v1}, {"v2", ProxyProtocol::v2}}),
                 "none", "PROXY protocol header sent to the backend")
            .key("accept_proxy_protocol", &Proxy::accept_proxy_protocol, boolean(), "false",
                 "clients' connections begin with a PROXY protocol header, of either version")
            .key("transparent", &Proxy::transparent, boolean(), "false", "connect from the client's address")
            .key("splice", &Proxy::splice, automatic(boolean()), "auto", "relay inside the kernel");
    return schema;
}

Codec<Mode> mode() {
    return one_of<Mode>({{"nat", Mode::nat},
                         {"fullnat", Mode::fullnat},
                         {"dsr_l2", Mode::dsr_l2},
                         {"dsr_ipip", Mode::dsr_ipip},
                         {"dsr_gre", Mode::dsr_gre},
                         {"dsr_gue", Mode::dsr_gue},
                         {"proxy", Mode::proxy}});
}

Codec<Scheduler> scheduler() {
    return one_of<Scheduler>({{"maglev", Scheduler::maglev},
                              {"round_robin", Scheduler::round_robin},
                              {"weighted_round_robin", Scheduler::weighted_round_robin},
                              {"least_connections", Scheduler::least_connections},
                              {"source_hash", Scheduler::source_hash}});
}

Codec<Hash> hash() {
    return one_of<Hash>({{"five_tuple", Hash::five_tuple},
                         {"source", Hash::source},
                         {"source_and_port", Hash::source_and_port},
                         {"destination_port", Hash::destination_port},
                         {"quic_connection_id", Hash::quic_connection_id}});
}

Codec<std::optional<Tier>> service_tier() {
    return automatic(one_of<Tier>(
        {{"xdp", Tier::xdp}, {"af_xdp", Tier::af_xdp}, {"dpdk", Tier::dpdk}, {"epoll", Tier::epoll}}));
}

Codec<SynCookies> syn_cookies() {
    return one_of<SynCookies>(
        {{"off", SynCookies::off}, {"auto", SynCookies::under_flood}, {"always", SynCookies::always}});
}

}  // namespace

const Schema<Service>& service_schema() {
    static const auto schema =
        Schema<Service>(
            "A virtual IP with protocol and ports, and the backends behind it. Where services overlap, an "
            "exact port goes before `any` and a longer prefix before a shorter one.")
            .key("name", &Service::name, name(), required, "what metrics and `explain` call it")
            .key("vip", &Service::vip, prefix(), required,
                 "the address that clients use, or a prefix of them")
            .key("protocol", &Service::protocol,
                 one_of<Protocol>({{"tcp", Protocol::tcp}, {"udp", Protocol::udp}, {"sctp", Protocol::sctp}}),
                 required, "the transport")
            .key("ports", &Service::ports, service_ports(), required, "list and ranges, or any")
            .key("scheduler", &Service::scheduler, scheduler(), "maglev", "how a new flow gets its backend")
            .key("hash", &Service::hash, hash(), "five_tuple", "what of a packet the scheduler's hash covers")
            .key("flow_table", &Service::flow_table, boolean(), "true",
                 "false: stateless, every packet by the hash alone")
            .key("answer_echo", &Service::answer_echo, boolean(), "true",
                 "ping to the VIP is answered, back to where it came from")
            .key("mode", &Service::mode, mode(), "nat", "how packets reach the backend")
            .key("tier", &Service::tier, service_tier(), "auto",
                 "auto: the cheapest that can express the service")
            .key("syn_cookies", &Service::syn_cookies, syn_cookies(), "off",
                 "for nat, fullnat and proxy; auto: under flood")
            .key("backends", &Service::backends, list(mapping(backend_schema())), "[]", "its servers")
            .key("health_check", &Service::health_check, optional(mapping(health_schema())), none,
                 "how they are probed")
            .key("limits", &Service::limits, mapping(limits_schema()), none, "bounds")
            .key("tunnel", &Service::tunnel, mapping(tunnel_schema()), none, "for the tunnelling modes")
            .key("proxy", &Service::proxy, mapping(proxy_schema()), none, "for the proxy mode");
    return schema;
}

}  // namespace sluice::config
