// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proxy/listeners.h"

#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include <cerrno>

#include "dataplane/io/interception/nft_table.h"

namespace sluice::proxy {

namespace {

constexpr int backlog = 4096;
constexpr int fast_open_queue = 1024;
constexpr int keepalive_idle_s = 60;
constexpr int keepalive_interval_s = 15;
constexpr int keepalive_probes = 4;
constexpr int user_timeout_ms = 120'000;  // RFC 5482: data unacknowledged for so long ends the connection
constexpr int udp_buffer_bytes = 8 << 20;

Status set(int fd, int level, int name, int value, const char* what) {
    if (setsockopt(fd, level, name, &value, sizeof value) == 0) return {};
    return system_error(errno, "{}", what);
}

Status set_address_options(int fd, bool v4) {
    if (Status status = set(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"); !status) return status;
    if (Status status = set(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"); !status) return status;
    if (v4) return set(fd, IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND");
    if (Status status = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"); !status) return status;
    return set(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1, "IPV6_FREEBIND");
}

void set_tcp_options(int fd) {
    const auto option = [fd](int name, int value) {
        setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value);
    };
    option(TCP_NODELAY, 1);
    option(TCP_USER_TIMEOUT, user_timeout_ms);
    option(TCP_FASTOPEN, fast_open_queue);  // of use where net.ipv4.tcp_fastopen lets servers take it
}

Status set_udp_options(int fd, bool v4, bool group) {
    const int bytes = udp_buffer_bytes;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    set(fd, SOL_UDP, UDP_GRO, 1, "UDP_GRO").ok();
    if (group && v4) return set(fd, IPPROTO_IP, IP_RECVORIGDSTADDR, 1, "IP_RECVORIGDSTADDR");
    if (group) return set(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1, "IPV6_RECVORIGDSTADDR");
    if (v4) return set(fd, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO");
    return set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO");
}

Status set_transparent(int fd, bool v4) {
    if (v4) return set(fd, IPPROTO_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT");
    return set(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT");
}

int set_mark(int fd, u32 mark) {
    return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0 ? 0 : errno;
}

}  // namespace

Endpoint original_destination(int fd) {
    const Endpoint own = local_endpoint(fd);
    SocketAddress address{};
    socklen_t length = sizeof address;
    const bool v4 = own.is_v4();
    const int level = v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6};
    const int name = v4 ? SO_ORIGINAL_DST : IP6T_SO_ORIGINAL_DST;
    return getsockopt(fd, level, name, &address, &length) == 0 ? from_socket_address(address) : own;
}

int mark_as_own(int fd) { return set_mark(fd, mark_own); }

int bear_address(int fd, const Endpoint& client) {
    if (const int error = set_mark(fd, mark_own | mark_foreign); error != 0) return error;
    if (!set_transparent(fd, client.is_v4())) return errno;
    const int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    SocketAddress address{};
    const socklen_t length = to_socket_address({client.address, 0}, address);
    return bind(fd, &address.any, length) == 0 ? 0 : errno;
}

void set_keepalive(int fd) {
    const auto option = [fd](int level, int name, int value) {
        setsockopt(fd, level, name, &value, sizeof value);
    };
    option(SOL_SOCKET, SO_KEEPALIVE, 1);
    option(IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_s);
    option(IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_s);
    option(IPPROTO_TCP, TCP_KEEPCNT, keepalive_probes);
    option(IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout_ms);
}

Result<std::vector<ListenPoint>> listen_points(const Snapshot& snapshot) {
    std::vector<ListenPoint> points;
    for (const ServiceSettings& service : snapshot.services) {
        if (service.vip_length != 128)
            return make_error("service {}: a prefix as VIP takes an sk_lookup program", service.name);
        u32 ports = 0;
        for (const PortSpan& span : service.ports) ports += span.last - span.first + 1U;
        if (ports > most_listen_points)
            return make_error("service {}: {} ports take an sk_lookup program", service.name, ports);
        for (const PortSpan& span : service.ports) {
            for (u32 port = span.first; port <= span.last; ++port)
                points.push_back({{service.vip, static_cast<u16>(port)}, service.protocol});
        }
    }
    return points;
}

Result<UniqueFd> open_listener(const ListenPoint& point) {
    const bool v4 = point.at.is_v4();
    const bool tcp = point.protocol == IPPROTO_TCP;
    const int type = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    UniqueFd fd(socket(v4 ? AF_INET : AF_INET6, type, 0));
    if (!fd) return system_error(errno, "listener {}: socket", point.at.text());
    if (Status status = set_address_options(fd.get(), v4); !status)
        return status.error().with_context("listener " + point.at.text());
    if (tcp) {
        set_tcp_options(fd.get());
    } else if (Status status = set_udp_options(fd.get(), v4, point.group()); !status) {
        return status.error().with_context("listener " + point.at.text());
    }
    if (point.transparent) {
        if (Status status = set_transparent(fd.get(), v4); !status) return status.error();
    }
    SocketAddress address{};
    const socklen_t length = to_socket_address(point.at, address);
    if (bind(fd.get(), &address.any, length) != 0)
        return system_error(errno, "listener {}: bind", point.at.text());
    if (tcp && listen(fd.get(), backlog) != 0)
        return system_error(errno, "listener {}: listen", point.at.text());
    return fd;
}

}  // namespace sluice::proxy
