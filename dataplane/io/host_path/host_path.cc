// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/host_path/host_path.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/route/addr.h>
#include <netlink/route/qdisc.h>
#include <netlink/socket.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice {
namespace {

struct Release {
    void operator()(nl_sock* socket) const { nl_socket_free(socket); }
    void operator()(rtnl_qdisc* qdisc) const { rtnl_qdisc_put(qdisc); }
    void operator()(rtnl_addr* address) const { rtnl_addr_put(address); }
    void operator()(nl_addr* address) const { nl_addr_put(address); }
    void operator()(nl_msg* message) const { nlmsg_free(message); }
};
template <typename T>
using Owned = std::unique_ptr<T, Release>;

Error netlink_error(int code, std::string_view what) { return make_error("{}: {}", what, nl_geterror(code)); }

// A device with addresses of its own would speak up (router solicitations, multicast reports).
void silence_ipv6(const std::string& name) {
    const UniqueFd fd(
        open(fmt::format("/proc/sys/net/ipv6/conf/{}/disable_ipv6", name).c_str(), O_WRONLY | O_CLOEXEC));
    if (fd && write(fd.get(), "1", 1) != 1) return;  // no IPv6 here: nothing to silence
}

Result<UniqueFd> create_tap(const std::string& name) {
    UniqueFd tap(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!tap)
        return system_error(errno,
                            "/dev/net/tun cannot be opened (expected the tun module and CAP_NET_ADMIN)");
    ifreq request{};
    std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(tap.get(), TUNSETIFF, &request) != 0) return system_error(errno, "TUNSETIFF");
    return tap;
}

Status bring_up(const std::string& name, u32 mtu) {
    const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
    request.ifr_mtu = static_cast<int>(mtu);
    if (!any || ioctl(any.get(), SIOCSIFMTU, &request) != 0) return system_error(errno, "MTU {}", mtu);
    if (ioctl(any.get(), SIOCGIFFLAGS, &request) != 0) return system_error(errno, "SIOCGIFFLAGS");
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    if (ioctl(any.get(), SIOCSIFFLAGS, &request) != 0) return system_error(errno, "cannot be set up");
    return {};
}

// With the same MAC the stack knows which frames are the host's.
Status copy_mac(const std::string& from, const std::string& to) {
    const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strncpy(request.ifr_name, from.c_str(), IFNAMSIZ - 1);
    if (!any || ioctl(any.get(), SIOCGIFHWADDR, &request) != 0) return system_error(errno, "MAC of {}", from);
    std::memset(request.ifr_name, 0, IFNAMSIZ);
    std::strncpy(request.ifr_name, to.c_str(), IFNAMSIZ - 1);
    if (ioctl(any.get(), SIOCSIFHWADDR, &request) != 0) return system_error(errno, "MAC like {}'s", from);
    return {};
}

Status set_mac(const std::string& name, const u8* mac) {
    const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, mac, ETH_ALEN);
    if (!any || ioctl(any.get(), SIOCSIFHWADDR, &request) != 0) return system_error(errno, "MAC");
    return {};
}

Status add_clsact(nl_sock* socket, int tap) {
    const Owned<rtnl_qdisc> qdisc(rtnl_qdisc_alloc());
    if (!qdisc) return make_error("clsact qdisc: no memory");
    rtnl_tc_set_ifindex(TC_CAST(qdisc.get()), tap);
    rtnl_tc_set_parent(TC_CAST(qdisc.get()), TC_H_CLSACT);
    rtnl_tc_set_handle(TC_CAST(qdisc.get()), TC_H_MAKE(TC_H_CLSACT, 0));
    rtnl_tc_set_kind(TC_CAST(qdisc.get()), "clsact");
    if (const int code = rtnl_qdisc_add(socket, qdisc.get(), NLM_F_CREATE); code != 0)
        return netlink_error(code, "clsact qdisc (expected sch_ingress in the kernel)");
    return {};
}

// The options of a u32 filter that matches everything and redirects it to the ingress of `ifindex`. By hand,
// because libnl 3.7 knows redirection to egress only.
bool put_redirect(nl_msg* message, u32 ifindex) {
    // One key that is all zero, mask included, behind the selector.
    alignas(tc_u32_sel) u8 all[sizeof(tc_u32_sel) + sizeof(tc_u32_key)] = {};
    tc_u32_sel selector{};
    selector.flags = TC_U32_TERMINAL;
    selector.nkeys = 1;
    std::memcpy(all, &selector, sizeof selector);
    tc_mirred redirect{};
    redirect.action = TC_ACT_STOLEN;
    redirect.eaction = TCA_INGRESS_REDIR;
    redirect.ifindex = ifindex;
    constexpr int first = 1;  // of the filter's actions
    nlattr* const options = nla_nest_start(message, TCA_OPTIONS);
    if (options == nullptr || nla_put(message, TCA_U32_SEL, sizeof all, all) != 0) return false;
    nlattr* const actions = nla_nest_start(message, TCA_U32_ACT);
    nlattr* const action = actions == nullptr ? nullptr : nla_nest_start(message, first);
    if (action == nullptr || nla_put_string(message, TCA_ACT_KIND, "mirred") != 0) return false;
    nlattr* const parameters = nla_nest_start(message, TCA_ACT_OPTIONS);
    if (parameters == nullptr || nla_put(message, TCA_MIRRED_PARMS, sizeof redirect, &redirect) != 0)
        return false;
    for (nlattr* const nest : {parameters, action, actions, options}) nla_nest_end(message, nest);
    return true;
}

// All that enters by `tap` enters by `ifindex` instead. The action marks the frame as redirected, which is
// what keeps a program in generic mode from seeing it again.
Status add_redirect(nl_sock* socket, int tap, u32 ifindex) {
    const Owned<nl_msg> message(nlmsg_alloc_simple(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL));
    tcmsg header{};
    header.tcm_ifindex = tap;
    header.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
    header.tcm_info = TC_H_MAKE(1u << 16, htons(ETH_P_ALL));  // preference 1, every protocol
    if (!message || nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO) != 0 ||
        nla_put_string(message.get(), TCA_KIND, "u32") != 0 || !put_redirect(message.get(), ifindex))
        return make_error("tc filter: no memory");
    int code = nl_send_auto(socket, message.get());
    if (code >= 0) code = nl_wait_for_ack(socket);
    if (code < 0) return netlink_error(code, "tc filter (expected cls_u32 and act_mirred in the kernel)");
    return {};
}

// Goes with the TAP device.
Status redirect_to(const std::string& name, u32 ifindex) {
    const Owned<nl_sock> socket(nl_socket_alloc());
    if (!socket) return make_error("netlink socket: no memory");
    if (const int code = nl_connect(socket.get(), NETLINK_ROUTE); code != 0)
        return netlink_error(code, "netlink socket");
    const int tap = static_cast<int>(if_nametoindex(name.c_str()));
    if (auto added = add_clsact(socket.get(), tap); !added) return added;
    return add_redirect(socket.get(), tap, ifindex);
}

}  // namespace

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
    const Owned<nl_sock> socket(nl_socket_alloc());
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
