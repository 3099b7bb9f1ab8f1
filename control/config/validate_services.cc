// SPDX-License-Identifier: Apache-2.0
#include "control/config/validate.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace sluice::config {

namespace {

bool is_dsr(Mode mode) {
    return mode == Mode::dsr_l2 || mode == Mode::dsr_ipip || mode == Mode::dsr_gre || mode == Mode::dsr_gue;
}

// Can a packet to a VIP of one family reach a backend of the other in this mode?
bool family_fits(const Service& service, bool backend_v4) {
    const bool vip_v4 = service.vip.is_v4();
    switch (service.mode) {
        case Mode::nat:
        case Mode::fullnat:
        case Mode::dsr_l2: return vip_v4 == backend_v4;
        case Mode::dsr_ipip: return vip_v4 || !backend_v4;  // 4in4, 4in6, 6in6
        case Mode::dsr_gre:
        case Mode::dsr_gue:
        case Mode::proxy: return true;
    }
    return false;
}

std::string_view family_expectation(Mode mode) {
    return mode == Mode::dsr_ipip
               ? "an IPv6 address, as the VIP is IPv6 and dsr_ipip takes 4in4, 4in6 and 6in6"
               : "an address of the VIP's family, as the mode does not translate between families";
}

void check_backend_port(const Service& service, const Backend& backend, Checker& check) {
    if (!backend.port || !is_dsr(service.mode)) return;
    const bool same =
        !service.ports.any && service.ports.ranges == PortRanges{{*backend.port, *backend.port}};
    if (!same)
        check.wrong(backend.where, "port",
                    "no other port than the service's: dsr modes do not rewrite the packet");
}

void check_backends(const Service& service, Checker& check) {
    std::set<std::pair<Address, std::optional<uint16_t>>> seen;
    for (const Backend& backend : service.backends) {
        if (!seen.emplace(backend.address, backend.port).second) {
            check.wrong(backend.where, "address", "each backend of a service once");
        }
        if (!family_fits(service, backend.address.is_v4())) {
            check.wrong(backend.where, "address", family_expectation(service.mode));
        }
        check_backend_port(service, backend, check);
    }
}

void check_combinations(const Service& service, Checker& check) {
    if (service.hash == Hash::quic_connection_id && service.protocol != Protocol::udp) {
        check.wrong(service.where, "hash", "quic_connection_id with protocol udp only");
    }
    if (service.syn_cookies == SynCookies::always &&
        (service.protocol != Protocol::tcp || is_dsr(service.mode))) {
        check.wrong(service.where, "syn_cookies",
                    "always with protocol tcp in the modes nat, fullnat and proxy only");
    }
    if (service.mode == Mode::proxy && service.protocol == Protocol::sctp) {
        check.wrong(service.where, "mode", "a mode other than proxy for protocol sctp");
    }
    const bool headers =
        service.proxy.proxy_protocol != ProxyProtocol::none || service.proxy.accept_proxy_protocol;
    if (service.mode == Mode::proxy && service.protocol == Protocol::udp && headers) {
        check.wrong(service.where, "proxy", "no PROXY protocol with protocol udp");
    }
    if (service.mode == Mode::proxy && service.tier && *service.tier != Tier::epoll) {
        check.wrong(service.where, "tier", "auto or epoll, as the mode is proxy");
    }
    if (!service.health_check) return;
    const Mark health{service.where.file, service.where.line, service.where.column,
                      join_path(service.where.path, "health_check")};
    if (service.health_check->timeout > service.health_check->interval) {
        check.wrong(health, "timeout", "a timeout that is at most the interval");
    }
    if (service.health_check->type != HealthType::http && check.given(health, "path")) {
        check.wrong(health, "path", "no path but with type http");
    }
    for (const Backend& backend : service.backends) {
        if (service.ports.any && !backend.port)
            check.wrong(backend.where, "port", "a port that can be probed, as the service has any");
    }
}

struct Claim {
    PortRange ports;
    bool any;
    const Service* service;
};

std::string place(const Mark& mark) { return fmt::format("{}:{}:{}", *mark.file, mark.line, mark.column); }

// Claims of one VIP and protocol. `any` beside a port is no conflict, as the exact port goes first.
void check_claims(std::vector<Claim>& claims, Checker& check) {
    std::stable_sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
        return std::tie(a.any, a.ports.lo) < std::tie(b.any, b.ports.lo);
    });
    const Claim* widest = nullptr;  // of those before, the one that reaches farthest
    for (const Claim& claim : claims) {
        const bool comparable = widest != nullptr && widest->any == claim.any;
        if (comparable && widest->service != claim.service && claim.ports.lo <= widest->ports.hi) {
            const bool in_order = widest->service < claim.service;
            const Service& first = in_order ? *widest->service : *claim.service;
            const Service& second = in_order ? *claim.service : *widest->service;
            check.wrong(second.where, "ports",
                        fmt::format("ports that service \"{}\" ({}) does not claim on {} already", first.name,
                                    place(first.where),
                                    second.vip.is_host() ? second.vip.address.text() : second.vip.text()));
        }
        if (!comparable || claim.ports.hi > widest->ports.hi) widest = &claim;
    }
}

void check_overlaps(const Config& config, Checker& check) {
    std::map<std::pair<Prefix, Protocol>, std::vector<Claim>> claims;
    for (const Service& service : config.services) {
        auto& list = claims[{service.vip, service.protocol}];
        if (service.ports.any) list.push_back({{1, 65535}, true, &service});
        for (const PortRange& range : service.ports.ranges) list.push_back({range, false, &service});
    }
    for (auto& [vip, list] : claims) check_claims(list, check);
}

}  // namespace

void validate_services(const Config& config, Checker& check) {
    std::set<std::string_view> names;
    for (const Service& service : config.services) {
        if (!names.insert(service.name).second)
            check.wrong(service.where, "name", "each service's name once");
        check_backends(service, check);
        check_combinations(service, check);
    }
    check_overlaps(config, check);
}

}  // namespace sluice::config
