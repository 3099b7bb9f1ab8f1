// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/af_xdp/xsk_set.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dataplane/base/fd.h"

namespace sluice {
namespace {

constexpr u32 ethernet_room = 22;  // Ethernet header and two VLAN tags

// The kernel lets go of a closed socket's queue a moment later.
constexpr int busy_tries = 50;
constexpr useconds_t busy_pause_us = 20'000;

Status check_mtu(const XskQueue& queue, const Umem& umem) {
    const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strncpy(request.ifr_name, queue.interface.c_str(), IFNAMSIZ - 1);
    if (!any || ioctl(any.get(), SIOCGIFMTU, &request) != 0)
        return system_error(errno, "interface {}: its MTU cannot be read", queue.interface);
    const u32 most = umem.max_frame_length() - ethernet_room;
    if (request.ifr_mtu >= 0 && static_cast<u32>(request.ifr_mtu) <= most) return {};
    return make_error(
        "interface {}: MTU {}: expected at most {}, as a frame of the AF_XDP tier is one buffer of {} bytes",
        queue.interface, request.ifr_mtu, most, umem.frame_size());
}

bool is_zero_copy(int fd) {
    xdp_options options{};
    socklen_t length = sizeof options;
    return getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &length) == 0 &&
           (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

}  // namespace

XskSet::~XskSet() { close(); }

void XskSet::close() {
    while (!ports_.empty()) ports_.pop_back();
    if (handle_ != nullptr) xsk_umem__delete(handle_);
    handle_ = nullptr;
    umem_.reset();
}

Status XskSet::open_port(const XskQueue& queue, const XskOptions& options, bool zero_copy) {
    const bool first = ports_.empty();
    for (int i = 0;; ++i) {
        std::unique_ptr<XskPort> port(new XskPort(*umem_, queue, options));
        auto opened = port->open(handle_, zero_copy, first ? &first_fill_ : nullptr,
                                 first ? &first_completion_ : nullptr);
        if (opened) {
            ports_.push_back(std::move(port));
            return {};
        }
        if (opened.error().code != EBUSY || i == busy_tries) return opened;
        usleep(busy_pause_us);
    }
}

Status XskSet::open_all(const std::vector<XskQueue>& queues, const UmemOptions& umem,
                        const XskOptions& options, bool zero_copy) {
    close();
    auto created = Umem::create(umem);
    if (!created) return created.error();
    umem_ = *std::move(created);
    for (const XskQueue& queue : queues) {
        if (auto fits = check_mtu(queue, *umem_); !fits) return fits;
    }
    xsk_umem_config config{};
    config.fill_size = options.rings.fill;
    config.comp_size = options.rings.completion;
    config.frame_size = umem_->frame_size();
    first_fill_ = {};
    first_completion_ = {};
    const int code =
        xsk_umem__create(&handle_, umem_->area(), umem_->size(), &first_fill_, &first_completion_, &config);
    if (code != 0) {
        handle_ = nullptr;
        return system_error(
            code,
            "UMEM of {} KiB: XDP_UMEM_REG (expected CAP_NET_RAW, and CAP_IPC_LOCK or `ulimit -l` enough)",
            umem_->size() / 1024);
    }
    for (const XskQueue& queue : queues) {
        if (auto opened = open_port(queue, options, zero_copy); !opened) return opened;
    }
    zero_copy_ = is_zero_copy(ports_.front()->descriptor());
    return {};
}

Result<std::unique_ptr<XskSet>> XskSet::open(const std::vector<XskQueue>& queues, const UmemOptions& umem,
                                             const XskOptions& options) {
    if (queues.empty()) return make_error("XDP sockets: expected one queue at least");
    if (u64{umem.frames} < queues.size() * (u64{options.rings.receive} + options.rings.transmit / 2)) {
        return make_error(
            "UMEM: {} frames for {} queues: expected {} at least, a receive ring and half a transmit ring "
            "each",
            umem.frames, queues.size(),
            queues.size() * (u64{options.rings.receive} + options.rings.transmit / 2));
    }
    std::unique_ptr<XskSet> set(new XskSet);
    Status opened = make_error("not asked for");
    if (options.zero_copy != ZeroCopy::never) {
        opened = set->open_all(queues, umem, options, true);
        if (!opened && options.zero_copy == ZeroCopy::require) return opened.error();
    }
    if (!opened) {
        set->zero_copy_refusal_ = opened.error().message;
        opened = set->open_all(queues, umem, options, false);
    }
    if (!opened) return opened.error();
    return set;
}

FrameCensus XskSet::census(u32 held) const {
    FrameCensus census;
    census.total = umem_->frames();
    census.free = umem_->free_count();
    census.held = held;
    for (const auto& port : ports_) port->add_to(census);
    return census;
}

Status XskSet::verify() const {
    std::vector<u64> addresses = umem_->free_list();
    for (const auto& port : ports_) port->collect(addresses);
    std::vector<bool> seen(umem_->frames());
    for (const u64 address : addresses) {
        const u64 frame = address / umem_->frame_size();
        if (frame >= seen.size())
            return make_error("UMEM: address {}: expected under {}", address, umem_->size());
        if (seen[frame]) return make_error("UMEM: frame {} is in two places", frame);
        seen[frame] = true;
    }
    return {};
}

}  // namespace sluice
