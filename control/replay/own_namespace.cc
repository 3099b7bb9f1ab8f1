// SPDX-License-Identifier: Apache-2.0
#include "control/replay/own_namespace.h"

#include <fcntl.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link/veth.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "dataplane/base/fd.h"

namespace sluice::replay {

namespace {

// Of this network namespace: without it the kernel's route look-up answers nothing but that it does not
// forward.
Status turn_forwarding_on() {
    for (const char* setting : {"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"}) {
        const UniqueFd file(open(setting, O_WRONLY | O_CLOEXEC));
        if (file.get() < 0 || write(file.get(), "1", 1) != 1)
            return system_error(errno, "--tier xdp: {}", setting);
    }
    return {};
}

}  // namespace

Status enter_own_namespace() {
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0)
        return system_error(errno, "--tier xdp: no namespaces of its own (expected root)");
    if (mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        return system_error(errno, "--tier xdp: mounts cannot be made private");
    if (mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") != 0)
        return system_error(errno, "--tier xdp: no BPF file system on /sys/fs/bpf");
    return turn_forwarding_on();
}

Result<std::vector<u32>> make_devices(size_t count) {
    const std::unique_ptr<nl_sock, decltype(&nl_socket_free)> socket(nl_socket_alloc(), nl_socket_free);
    if (socket == nullptr) return make_error("netlink: no memory");
    if (const int code = nl_connect(socket.get(), NETLINK_ROUTE); code != 0)
        return make_error("netlink: {}", nl_geterror(code));
    std::vector<u32> indexes;
    while (indexes.size() < count) {
        const std::string one = fmt::format("replay{}", indexes.size());
        const std::string other = fmt::format("replay{}", indexes.size() + 1);
        if (const int code = rtnl_link_veth_add(socket.get(), one.c_str(), other.c_str(), getpid());
            code != 0)
            return make_error("veth pair {}, {}: {}", one, other, nl_geterror(code));
        indexes.push_back(if_nametoindex(one.c_str()));
        indexes.push_back(if_nametoindex(other.c_str()));
    }
    return indexes;
}

}  // namespace sluice::replay
