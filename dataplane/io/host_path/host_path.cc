// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/host_path/host_path.h"

#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/route/addr.h>
#include <unistd.h>

#include "dataplane/base/log.h"
#include "dataplane/io/host_path/host_devices.h"

namespace sluice {

using namespace host_devices;

namespace {

struct Release {
    void operator()(rtnl_addr* address) const { rtnl_addr_put(address); }
    void operator()(nl_addr* address) const { nl_addr_put(address); }
    void operator()(struct if_nameindex* names) const { if_freenameindex(names); }
};
template <typename T>
using Owned = std::unique_ptr<T, Release>;

constexpr const char* pair_start = "sluice-p";
constexpr const char* pair_end = "sluice-q";

// One of our pairs: a number behind the name's start, and its other end beside it.
bool is_pair(std::string_view name) {
    constexpr std::string_view start = pair_start;
    if (!name.starts_with(start) || name.size() == start.size()) return false;
    const std::string number(name.substr(start.size()));
    if (number.find_first_not_of("0123456789") != std::string::npos) return false;
    return if_nametoindex((pair_end + number).c_str()) != 0;
}

}  // namespace

HostPath::~HostPath() {
    if (!pair_) return;
    if (auto socket = connect_netlink(); socket) {
        if (Status status = remove_device(socket->get(), name_); !status)
            spdlog::warn("{}", status.error().message);
    }
}

Status HostPath::remove_pairs() {
    auto socket = connect_netlink();
    if (!socket) return socket.error();
    const Owned<struct if_nameindex> all(if_nameindex());
    for (const auto* each = all.get(); each != nullptr && each->if_index != 0; ++each) {
        if (!is_pair(each->if_name)) continue;
        if (Status status = remove_device(socket->get(), each->if_name); !status) return status;
    }
    return {};
}

Result<std::unique_ptr<HostPath>> HostPath::open_marked(const std::string& interface, u32 ifindex, u32 mtu,
                                                        u32 mark) {
    std::unique_ptr<HostPath> path(new HostPath);
    path->name_ = fmt::format("{}{}", pair_start, ifindex);
    path->ifindex_ = ifindex;
    const std::string end = fmt::format("{}{}", pair_end, ifindex);
    const auto place = [&](const Error& error) {
        return error.with_context(fmt::format("interface {}: host path {}", interface, path->name_));
    };
    if (auto made = create_pair(path->name_, end); !made) return place(made.error());
    path->pair_ = true;
    for (const std::string& name : {path->name_, end}) silence_ipv6(name);
    if (auto same = copy_mac(interface, end); !same) return place(same.error());
    if (auto redirected = redirect_to(end, ifindex); !redirected) return place(redirected.error());
    for (const std::string& name : {path->name_, end}) {
        if (auto up = bring_up(name, mtu); !up) return place(up.error());
    }
    auto socket = marked_socket(path->name_, mark);
    if (!socket) return place(socket.error());
    path->tap_ = *std::move(socket);
    return path;
}

Result<std::unique_ptr<HostPath>> HostPath::open(const std::string& interface, u32 ifindex, u32 mtu) {
    std::unique_ptr<HostPath> path(new HostPath);
    path->name_ = fmt::format("sluice-host{}", ifindex).substr(0, IFNAMSIZ - 1);
    path->ifindex_ = ifindex;
    const auto place = [&](const Error& error) {
        return error.with_context(fmt::format("interface {}: host path {}", interface, path->name_));
    };
    auto tap = create_tap(path->name_);
    if (!tap) return place(tap.error());
    path->tap_ = *std::move(tap);
    silence_ipv6(path->name_);
    if (auto same = copy_mac(interface, path->name_); !same) return place(same.error());
    if (auto redirected = redirect_to(path->name_, ifindex); !redirected) return place(redirected.error());
    if (auto up = bring_up(path->name_, mtu); !up) return place(up.error());
    return path;
}

Result<std::unique_ptr<HostPath>> HostPath::create(const std::string& interface, const u8* mac, u32 mtu) {
    std::unique_ptr<HostPath> path(new HostPath);
    path->name_ = interface;
    const auto place = [&](const Error& error) {
        return error.with_context(fmt::format("interface {}: host path", interface));
    };
    if (if_nametoindex(interface.c_str()) != 0)
        return place(make_error("an interface of this name exists: expected a name of its own for the port"));
    auto tap = create_tap(interface);
    if (!tap) return place(tap.error());
    path->tap_ = *std::move(tap);
    if (auto set = set_mac(interface, mac); !set) return place(set.error());
    if (auto up = bring_up(interface, mtu); !up) return place(up.error());
    path->ifindex_ = if_nametoindex(interface.c_str());
    return path;
}

Status HostPath::add_address(const struct address& own, u8 length) {
    const auto place = [&](int code) {
        return netlink_error(code, "address").with_context(fmt::format("interface {}: host path", name_));
    };
    const bool ipv4 = address_is_ipv4(&own);
    const u8* bytes = reinterpret_cast<const u8*>(own.word) + (ipv4 ? 12 : 0);
    const host_devices::NetlinkSocket socket(nl_socket_alloc());
    const Owned<rtnl_addr> request(rtnl_addr_alloc());
    const Owned<nl_addr> local(nl_addr_build(ipv4 ? AF_INET : AF_INET6, bytes, ipv4 ? 4 : 16));
    if (!socket || !request || !local) return place(-NLE_NOMEM);
    if (const int code = nl_connect(socket.get(), NETLINK_ROUTE); code != 0) return place(code);
    rtnl_addr_set_ifindex(request.get(), static_cast<int>(ifindex_));
    if (const int code = rtnl_addr_set_local(request.get(), local.get()); code != 0) return place(code);
    rtnl_addr_set_prefixlen(request.get(), ipv4 ? length - 96 : length);
    const int code = rtnl_addr_add(socket.get(), request.get(), 0);
    return code == 0 || code == -NLE_EXIST ? Status{} : place(code);
}

size_t HostPath::take(std::span<u8> room) {
    const ssize_t length = read(tap_.get(), room.data(), room.size());
    return length > 0 ? static_cast<size_t>(length) : 0;
}

bool HostPath::deliver(const Frame& frame) {
    const auto length = static_cast<size_t>(frame.end - frame.data);
    const bool taken = write(tap_.get(), frame.data, length) == static_cast<ssize_t>(length);
    (taken ? delivered_ : refused_).fetch_add(1, std::memory_order_relaxed);
    return taken;
}

}  // namespace sluice
