// SPDX-License-Identifier: Apache-2.0
#include "control/sluicectl/device_facts.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <xdp/xsk.h>

#include <cerrno>
#include <memory>

#include "dataplane/base/fd.h"
#include "dataplane/packet/target.h"

namespace sluice::ctl {

namespace {

// linux/netdev.h, which Debian 12's headers do not have yet
constexpr const char* netdev_family = "netdev";
constexpr u8 netdev_cmd_dev_get = 1;
constexpr int netdev_a_ifindex = 1, netdev_a_xdp_features = 3;
enum Bit : u64 { basic = 1, redirect = 2, ndo_xmit = 4, xsk_zerocopy = 8, hw_offload = 16, rx_sg = 32 };

struct Free {
    void operator()(nl_sock* socket) const { nl_socket_free(socket); }
    void operator()(nl_msg* message) const { nlmsg_free(message); }
};

int take_features(nl_msg* message, void* out) {
    nlattr* attributes[netdev_a_xdp_features + 1] = {};
    genlmsg_parse(nlmsg_hdr(message), 0, attributes, netdev_a_xdp_features, nullptr);
    if (attributes[netdev_a_xdp_features] == nullptr) return NL_SKIP;
    const u64 bits = nla_get_u64(attributes[netdev_a_xdp_features]);
    *static_cast<std::optional<XdpFeatures>*>(out) = {(bits & basic) != 0,    (bits & redirect) != 0,
                                                      (bits & ndo_xmit) != 0, (bits & xsk_zerocopy) != 0,
                                                      (bits & rx_sg) != 0,    (bits & hw_offload) != 0};
    return NL_OK;
}

std::optional<XdpFeatures> xdp_features(unsigned index) {
    const std::unique_ptr<nl_sock, Free> socket(nl_socket_alloc());
    if (!socket || genl_connect(socket.get()) != 0) return std::nullopt;
    const int family = genl_ctrl_resolve(socket.get(), netdev_family);
    const std::unique_ptr<nl_msg, Free> message(nlmsg_alloc());
    if (family < 0 || !message) return std::nullopt;
    genlmsg_put(message.get(), NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, netdev_cmd_dev_get, 1);
    nla_put_u32(message.get(), netdev_a_ifindex, index);
    std::optional<XdpFeatures> found;
    nl_socket_modify_cb(socket.get(), NL_CB_VALID, NL_CB_CUSTOM, take_features, &found);
    if (nl_send_auto(socket.get(), message.get()) < 0) return std::nullopt;
    nl_recvmsgs_default(socket.get());
    return found;
}

// Asks the ethtool ioctl with `data`, which starts with its command.
bool ask_ethtool(int socket, const std::string& interface, void* data) {
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = static_cast<char*>(data);
    return ioctl(socket, SIOCETHTOOL, &request) == 0;
}

Offload offload(int socket, const std::string& interface, u32 command, u32 bit = 1) {
    ethtool_value value{command, 0};
    const bool known = ask_ethtool(socket, interface, &value);
    return {known, (value.data & bit) != 0};
}

}  // namespace

Result<DeviceFacts> device_facts(const std::string& interface) {
    DeviceFacts facts;
    facts.index = if_nametoindex(interface.c_str());
    if (facts.index == 0) return make_error("interface {}: there is none of that name", interface);
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) return system_error(errno, "socket");
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    if (ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0) facts.up = (request.ifr_flags & IFF_UP) != 0;
    if (ioctl(socket.get(), SIOCGIFMTU, &request) == 0) facts.mtu = static_cast<unsigned>(request.ifr_mtu);
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    if (ask_ethtool(socket.get(), interface, &info)) {
        facts.driver = info.driver;
        facts.firmware = info.fw_version;
    }
    facts.tx_checksum = offload(socket.get(), interface, ETHTOOL_GTXCSUM);
    facts.rx_checksum = offload(socket.get(), interface, ETHTOOL_GRXCSUM);
    facts.tso = offload(socket.get(), interface, ETHTOOL_GTSO);
    facts.gso = offload(socket.get(), interface, ETHTOOL_GGSO);
    facts.gro = offload(socket.get(), interface, ETHTOOL_GGRO);
    facts.lro = offload(socket.get(), interface, ETHTOOL_GFLAGS, ETH_FLAG_LRO);
    facts.features = xdp_features(facts.index);
    return facts;
}

Status try_zero_copy(const std::string& interface, unsigned queue) {
    constexpr u32 frames = 4096;
    constexpr size_t bytes = size_t{frames} * XSK_UMEM__DEFAULT_FRAME_SIZE;
    void* const area = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) return system_error(errno, "memory for packet buffers");
    xsk_ring_prod fill{}, tx{};
    xsk_ring_cons completion{}, rx{};
    xsk_umem* umem = nullptr;
    xsk_socket* socket = nullptr;
    int code = xsk_umem__create(&umem, area, bytes, &fill, &completion, nullptr);
    if (code == 0) {
        xsk_socket_config config{};
        config.rx_size = XSK_RING_CONS__DEFAULT_NUM_DESCS;
        config.tx_size = XSK_RING_PROD__DEFAULT_NUM_DESCS;
        config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
        config.bind_flags = XDP_ZEROCOPY;
        code = xsk_socket__create(&socket, interface.c_str(), queue, umem, &rx, &tx, &config);
    }
    xsk_socket__delete(socket);
    if (umem != nullptr) xsk_umem__delete(umem);
    munmap(area, bytes);
    if (code != 0)
        return system_error(-code, "interface {} queue {}: zero-copy XDP socket", interface, queue);
    return {};
}

}  // namespace sluice::ctl
