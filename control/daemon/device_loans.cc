// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/device_loans.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/base/log.h"
#include "dataplane/io/pci/pci_address.h"

namespace sluice::control {

namespace {

ifreq request_for(const std::string& interface) {
    ifreq request{};
    std::strncpy(request.ifr_name, interface.c_str(), IFNAMSIZ - 1);
    return request;
}

Status ask(unsigned long what, ifreq& request, const char* words) {
    const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (any && ioctl(any.get(), what, &request) == 0) return {};
    return system_error(errno, "interface {}: {}", request.ifr_name, words);
}

Status set_up(const std::string& interface, bool up) {
    ifreq request = request_for(interface);
    Status status = ask(SIOCGIFFLAGS, request, "its flags");
    if (!status) return status;
    const int flags = up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP;
    request.ifr_flags = static_cast<short>(flags);
    return ask(SIOCSIFFLAGS, request, up ? "cannot be set up" : "cannot be set down");
}

Status set_mtu(const std::string& interface, u32 mtu) {
    ifreq request = request_for(interface);
    request.ifr_mtu = static_cast<int>(mtu);
    return ask(SIOCSIFMTU, request, "its MTU");
}

Status rename(const std::string& from, const std::string& to) {
    if (from == to) return {};
    ifreq request = request_for(from);
    std::strncpy(request.ifr_newname, to.c_str(), IFNAMSIZ - 1);
    return ask(SIOCSIFNAME, request, "cannot have its name again");
}

bool is_default(const netlink::Route& route) {
    return !route.local_table && route.kind == netlink::RouteKind::unicast &&
           route.length == (route.ipv4 ? 96 : 0);
}

// The interface by which a default route of the node leaves, if it is one of these.
std::string default_route_by(const std::vector<std::string>& names, const netlink::KernelView& kernel) {
    for (const netlink::Route& route : kernel.data().routes) {
        if (!is_default(route)) continue;
        for (const netlink::Hop& hop : route.hops) {
            const netlink::Link* link = kernel.link(hop.ifindex);
            if (link != nullptr && std::find(names.begin(), names.end(), link->name) != names.end())
                return link->name;
        }
    }
    return "";
}

// The kernel's interface of a device that it has got back; its driver may take a moment.
std::string await_interface(const KernelDriver& device) {
    constexpr auto patience = std::chrono::seconds(10);
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (true) {
        const std::vector<std::string> names = device.interfaces();
        if (!names.empty()) return names.front();
        if (std::chrono::steady_clock::now() > limit) return "";
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

}  // namespace

DeviceLoans::~DeviceLoans() {
    while (!loans_.empty()) {
        const std::string interface = loans_.begin()->first;
        const Status status = give_back(interface);
        if (!status) spdlog::error("{}", status.error().message);
        restore(interface);
        loans_.erase(interface);
    }
}

bool DeviceLoans::can_be_lent(const config::Interface& interface) {
    if (!interface.dpdk) return false;
    const std::string address = pci_address(interface.dpdk->device);
    if (address.empty()) return false;
    const std::vector<std::string> names = KernelDriver(address).interfaces();
    return std::find(names.begin(), names.end(), interface.name) != names.end();
}

Status DeviceLoans::prepare(const config::Interface& interface, const netlink::KernelView& kernel) {
    const KernelDriver device(pci_address(interface.dpdk->device));
    const auto refuse = [&](const std::string& why) {
        return make_error("interface {}: tier dpdk: device {}: {}", interface.name, interface.dpdk->device,
                          why);
    };
    const std::string by = default_route_by(device.interfaces_and_uppers(), kernel);
    if (!by.empty()) return refuse(fmt::format("it carries the default route (by {}): refused", by));
    if (const std::string obstacle = device.obstacle(); !obstacle.empty()) return refuse(obstacle);
    const netlink::Link* link = kernel.link(interface.name);
    if (link == nullptr) return refuse("the kernel's interface is not there yet");
    auto kept = netlink::InterfaceState::of(link->ifindex);
    if (!kept) return kept.error();
    if (Status status = set_up(interface.name, false); !status) return status;
    loans_.insert_or_assign(interface.name, Loan{device, std::move(*kept), link->mtu, false});
    return {};
}

Status DeviceLoans::lend(const std::string& interface) {
    Loan& loan = loans_.at(interface);
    loan.lent = true;
    return loan.device.give_to_vfio();
}

void DeviceLoans::remember(const std::string& interface) {
    Loan& loan = loans_.at(interface);
    const u32 ifindex = if_nametoindex(interface.c_str());
    if (!loan.lent || ifindex == 0) return;  // there is no exception device
    auto kept = netlink::InterfaceState::of(ifindex);
    if (kept) loan.kept = std::move(*kept);
}

Status DeviceLoans::give_back(const std::string& interface) {
    Loan& loan = loans_.at(interface);
    Status status;
    if (loan.lent) {
        status = loan.device.give_back();
        if (!status) return status;
        loan.lent = false;
        const std::string found = await_interface(loan.device);
        if (found.empty()) return make_error("interface {}: the kernel made none of its device", interface);
        status = rename(found, interface);
        if (status) status = set_mtu(interface, loan.mtu);
    }
    return status ? set_up(interface, true) : status;
}

void DeviceLoans::restore(const std::string& interface) {
    const auto loan = loans_.find(interface);
    const u32 ifindex = if_nametoindex(interface.c_str());
    if (loan != loans_.end() && ifindex != 0) {
        const Status status = loan->second.kept.restore(ifindex);
        if (!status) spdlog::warn("interface {}: {}", interface, status.error().message);
    }
    if (loan != loans_.end() && !loan->second.lent) loans_.erase(loan);
}

}  // namespace sluice::control
