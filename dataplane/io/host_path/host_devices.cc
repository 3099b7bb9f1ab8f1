// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/host_path/host_devices.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/pkt_cls.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/qdisc.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace sluice::host_devices {

Error netlink_error(int code, std::string_view what) { return make_error("{}: {}", what, nl_geterror(code)); }

namespace {

struct Release {
    void operator()(rtnl_qdisc* qdisc) const { rtnl_qdisc_put(qdisc); }
    void operator()(rtnl_link* link) const { rtnl_link_put(link); }
    void operator()(nl_msg* message) const { nlmsg_free(message); }
};
template <typename T>
using Owned = std::unique_ptr<T, Release>;

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

}  // namespace

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

Result<NetlinkSocket> connect_netlink() {
    NetlinkSocket socket(nl_socket_alloc());
    if (!socket) return make_error("netlink socket: no memory");
    if (const int code = nl_connect(socket.get(), NETLINK_ROUTE); code != 0)
        return netlink_error(code, "netlink socket");
    return socket;
}

// Goes with the device.
Status redirect_to(const std::string& name, u32 ifindex) {
    auto connected = connect_netlink();
    if (!connected) return connected.error();
    const NetlinkSocket socket = *std::move(connected);
    const int tap = static_cast<int>(if_nametoindex(name.c_str()));
    if (auto added = add_clsact(socket.get(), tap); !added) return added;
    return add_redirect(socket.get(), tap, ifindex);
}

Status remove_device(nl_sock* socket, const std::string& name) {
    const Owned<rtnl_link> link(rtnl_link_alloc());
    if (!link) return make_error("netlink: no memory");
    rtnl_link_set_name(link.get(), name.c_str());
    const int code = rtnl_link_delete(socket, link.get());
    if (code == 0 || code == -NLE_NODEV || code == -NLE_OBJ_NOTFOUND) return {};
    return netlink_error(code, name);
}

Status create_pair(const std::string& start, const std::string& end) {
    auto socket = connect_netlink();
    if (!socket) return socket.error();
    if (Status status = remove_device(socket->get(), start); !status) return status;
    const Owned<rtnl_link> link(rtnl_link_veth_alloc());
    const Owned<rtnl_link> peer(link ? rtnl_link_veth_get_peer(link.get()) : nullptr);
    if (!peer) return make_error("netlink: no memory");
    rtnl_link_set_name(link.get(), start.c_str());
    rtnl_link_set_name(peer.get(), end.c_str());
    const int code = rtnl_link_add(socket->get(), link.get(), NLM_F_CREATE | NLM_F_EXCL);
    if (code != 0) return netlink_error(code, "pair of devices (expected veth in the kernel)");
    return {};
}

Result<UniqueFd> marked_socket(const std::string& interface, u32 mark) {
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return system_error(errno, "packet socket (expected CAP_NET_RAW)");
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    const int on = 1;
    if (setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0)
        return system_error(errno, "SO_MARK");
    if (setsockopt(fd.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0)
        return system_error(errno, "PACKET_QDISC_BYPASS");
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
        return system_error(errno, "bind to {}", interface);
    return fd;
}

}  // namespace sluice::host_devices
