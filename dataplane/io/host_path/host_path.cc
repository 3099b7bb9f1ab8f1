// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/host_path/host_path.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "bpf/host_path.skel.h"

namespace sluice {
namespace {

struct SkeletonClose {
    void operator()(host_path_bpf* skeleton) const { host_path_bpf__destroy(skeleton); }
};

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

// The program lives as long as its filter, and that as long as the TAP device.
Status redirect_to(const std::string& name, u32 ifindex) {
    const std::unique_ptr<host_path_bpf, SkeletonClose> skeleton(host_path_bpf__open());
    if (!skeleton) return system_error(errno, "the embedded tc object cannot be opened");
    const_cast<u32&>(skeleton->rodata->device) = ifindex;
    if (const int code = host_path_bpf__load(skeleton.get()); code != 0)
        return system_error(code, "the kernel does not load the tc program");
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(if_nametoindex(name.c_str())),
                .attach_point = BPF_TC_INGRESS);
    if (const int code = bpf_tc_hook_create(&hook); code != 0) return system_error(code, "no clsact qdisc");
    LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = bpf_program__fd(skeleton->progs.sluice_host_path));
    if (const int code = bpf_tc_attach(&hook, &options); code != 0) return system_error(code, "no tc filter");
    return {};
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
    if (auto redirected = redirect_to(path->name_, ifindex); !redirected) return place(redirected.error());
    if (auto up = bring_up(path->name_, mtu); !up) return place(up.error());
    return path;
}

bool HostPath::deliver(const Frame& frame) {
    const auto length = static_cast<size_t>(frame.end - frame.data);
    const bool taken = write(tap_.get(), frame.data, length) == static_cast<ssize_t>(length);
    (taken ? delivered_ : refused_).fetch_add(1, std::memory_order_relaxed);
    return taken;
}

}  // namespace sluice
