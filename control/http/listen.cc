// SPDX-License-Identifier: Apache-2.0
#include "control/http/listen.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace sluice::http {

namespace {

UniqueFd open_socket(int family) {
    return UniqueFd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

union SocketAddress {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
};

socklen_t to_socket_address(const config::Endpoint& endpoint, SocketAddress& out) {
    if (endpoint.address.is_v4()) {
        out.v4.sin_family = AF_INET;
        out.v4.sin_port = htons(endpoint.port);
        out.v4.sin_addr.s_addr = htonl(endpoint.address.v4());
        return sizeof out.v4;
    }
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(endpoint.port);
    std::copy(endpoint.address.bytes.begin(), endpoint.address.bytes.end(), out.v6.sin6_addr.s6_addr);
    return sizeof out.v6;
}

Result<UniqueFd> bind_and_listen(UniqueFd fd, const SocketAddress& address, socklen_t length) {
    if (bind(fd.get(), &address.any, length) != 0 || listen(fd.get(), SOMAXCONN) != 0)
        return system_error(errno, "cannot listen");
    return fd;
}

Status make_room(const std::string& path) {
    std::error_code error;
    const auto folder = std::filesystem::path(path).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, error);
    struct stat there {};
    if (lstat(path.c_str(), &there) != 0) return {};
    if (!S_ISSOCK(there.st_mode)) return make_error("expected no file but a socket there");
    if (unlink(path.c_str()) != 0) return system_error(errno, "cannot be removed");
    return {};
}

}  // namespace

Result<UniqueFd> listen_on(const config::Endpoint& endpoint) {
    SocketAddress address{};
    const socklen_t length = to_socket_address(endpoint, address);
    UniqueFd fd = open_socket(address.any.sa_family);
    if (!fd) return system_error(errno, "cannot listen");
    const int on = 1;
    const int off = 0;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // connections of an earlier daemon
    if (address.any.sa_family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    return bind_and_listen(std::move(fd), address, length);
}

Result<UniqueFd> listen_on(const std::string& path) {
    SocketAddress address{};
    if (path.size() >= sizeof address.local.sun_path)
        return make_error("expected at most {} characters", sizeof address.local.sun_path - 1);
    if (Status status = make_room(path); !status) return status.error();
    UniqueFd fd = open_socket(AF_UNIX);
    if (!fd) return system_error(errno, "cannot listen");
    address.local.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), address.local.sun_path);
    const mode_t mask = umask(0177);
    auto listening = bind_and_listen(std::move(fd), address, sizeof address.local);
    umask(mask);
    return listening;
}

}  // namespace sluice::http
