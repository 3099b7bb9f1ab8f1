// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/af_xdp/xsk_port.h"

#include <linux/if_link.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace sluice {
namespace {

constexpr u32 ring_batch = 64;

// Entries between a ring's consumer and producer as the kernel and we see them now. `cached` is our own side,
// which may be ahead of what was submitted.
u32 entries(const u32* producer, const u32* consumer) {
    return __atomic_load_n(producer, __ATOMIC_ACQUIRE) - __atomic_load_n(consumer, __ATOMIC_ACQUIRE);
}

// What is left of `all`; 0 where the two were read at moments that do not go together.
u32 rest(u64 all, u64 part) { return all > part ? static_cast<u32>(all - part) : 0; }

}  // namespace

XskPort::~XskPort() { xsk_socket__delete(socket_); }

Status XskPort::open(xsk_umem* handle, bool zero_copy, xsk_ring_prod* fill, xsk_ring_cons* completion) {
    xsk_socket_config config{};
    config.rx_size = options_.rings.receive;
    config.tx_size = options_.rings.transmit;
    config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
    config.bind_flags = static_cast<u16>((zero_copy ? XDP_ZEROCOPY : XDP_COPY) | XDP_USE_NEED_WAKEUP);
    // The first socket of a UMEM takes over the rings that were made with it.
    if (fill == nullptr) fill = &fill_ring_;
    if (completion == nullptr) completion = &completion_ring_;
    const int code = xsk_socket__create_shared(&socket_, where_.interface.c_str(), where_.queue, handle,
                                               &receive_ring_, &transmit_ring_, fill, completion, &config);
    if (code != 0) {
        socket_ = nullptr;
        return system_error(code, "interface {}: queue {}: XDP socket in {} mode", where_.interface,
                            where_.queue, zero_copy ? "zero-copy" : "copy");
    }
    fd_ = xsk_socket__fd(socket_);
    if (fill != &fill_ring_) fill_ring_ = *fill;
    if (completion != &completion_ring_) completion_ring_ = *completion;
    if (options_.busy_poll) {
        if (auto set = set_busy_poll(); !set) return set;
    }
    refill();
    return {};
}

Status XskPort::set_busy_poll() {
    const int on = 1;
    const int time = static_cast<int>(options_.busy_poll_us);
    const int budget = static_cast<int>(options_.busy_poll_budget);
    const struct {
        const char* name;
        int option;
        const int& value;
    } settings[] = {{"SO_PREFER_BUSY_POLL", SO_PREFER_BUSY_POLL, on},
                    {"SO_BUSY_POLL", SO_BUSY_POLL, time},
                    {"SO_BUSY_POLL_BUDGET", SO_BUSY_POLL_BUDGET, budget}};
    for (const auto& setting : settings) {
        if (setsockopt(fd_, SOL_SOCKET, setting.option, &setting.value, sizeof(int)) != 0) {
            return system_error(errno, "interface {}: queue {}: {} {}", where_.interface, where_.queue,
                                setting.name, setting.value);
        }
    }
    return {};
}

// Keeps as many buffers in the fill ring as a receive ring can return: half the UMEM per socket and more
// would starve others.
void XskPort::refill() {
    std::array<u64, ring_batch> addresses;
    for (;;) {
        const u32 filled = static_cast<u32>(filled_.get());
        const u32 room = filled < options_.rings.receive ? options_.rings.receive - filled : 0;
        u32 wanted = std::min({room, ring_batch, xsk_prod_nb_free(&fill_ring_, ring_batch)});
        if (wanted < std::min<u32>(room, ring_batch / 2) || wanted == 0) return;
        wanted = umem_.take(addresses.data(), wanted);
        u32 at = 0;
        if (wanted == 0 || xsk_ring_prod__reserve(&fill_ring_, wanted, &at) != wanted) return;
        for (u32 i = 0; i < wanted; ++i) *xsk_ring_prod__fill_addr(&fill_ring_, at + i) = addresses[i];
        xsk_ring_prod__submit(&fill_ring_, wanted);
        filled_.add(wanted);
        if (wanted < ring_batch) return;
    }
}

u32 XskPort::receive(std::span<Frame> frames) {
    const u32 most = static_cast<u32>(frames.size());
    u32 at = 0;
    u32 count = xsk_ring_cons__peek(&receive_ring_, most, &at);
    if (count == 0) {
        refill();
        if (!options_.busy_poll && !xsk_ring_prod__needs_wakeup(&fill_ring_)) return 0;
        recvfrom(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
        count = xsk_ring_cons__peek(&receive_ring_, most, &at);  // what the call has just polled
        if (count == 0) return 0;
    }
    u8* const area = umem_.area();
    const u64 mask = ~u64{umem_.frame_size() - 1};
    for (u32 i = 0; i < count; ++i) {
        const xdp_desc* descriptor = xsk_ring_cons__rx_desc(&receive_ring_, at + i);
        Frame& frame = frames[i];
        frame.tag = static_cast<u32>(descriptor->addr & mask);
        frame.buffer = area + frame.tag;
        frame.data = area + descriptor->addr;
        frame.end = frame.data + descriptor->len;
        frame.ifindex = where_.ifindex;
    }
    xsk_ring_cons__release(&receive_ring_, count);
    filled_.subtract(count);
    received_.add(count);
    refill();
    return count;
}

bool XskPort::allocate(Frame& frame) {
    frame.ifindex = where_.ifindex;
    return umem_.take(frame);
}

bool XskPort::send(const Frame& frame) {
    u32 at = 0;
    if (xsk_ring_prod__reserve(&transmit_ring_, 1, &at) == 0) {
        flush();
        if (xsk_ring_prod__reserve(&transmit_ring_, 1, &at) == 0) {
            transmit_full_.add(1);
            return false;
        }
    }
    xdp_desc* descriptor = xsk_ring_prod__tx_desc(&transmit_ring_, at);
    *descriptor = {};
    descriptor->addr = static_cast<u64>(frame.data - umem_.area());
    descriptor->len = static_cast<u32>(frame.end - frame.data);
    reserved_.add(1);
    return true;
}

void XskPort::reclaim() {
    u32 at = 0;
    while (const u32 count = xsk_ring_cons__peek(&completion_ring_, ring_batch, &at)) {
        for (u32 i = 0; i < count; ++i) umem_.give(*xsk_ring_cons__comp_addr(&completion_ring_, at + i));
        xsk_ring_cons__release(&completion_ring_, count);
        outstanding_.subtract(count);
    }
}

// In copy mode a call sends at most 32 frames and asks to be called again by EAGAIN; with the device's queue
// full it says ENOBUFS or EBUSY and the frames stay in the ring.
void XskPort::kick() {
    if (!xsk_ring_prod__needs_wakeup(&transmit_ring_)) return;
    constexpr int most_calls = 64;
    for (int i = 0; i < most_calls && entries(transmit_ring_.producer, transmit_ring_.consumer) != 0; ++i) {
        if (sendto(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0 && errno != EAGAIN) return;
    }
}

void XskPort::flush() {
    if (const u64 reserved = reserved_.get(); reserved != 0) {
        xsk_ring_prod__submit(&transmit_ring_, static_cast<u32>(reserved));
        outstanding_.add(reserved);
        sent_.add(reserved);
        reserved_.set(0);
    }
    if (outstanding_.get() == 0) return;
    kick();
    reclaim();
}

void XskPort::prepare_to_sleep() {
    flush();
    refill();
    if (xsk_ring_prod__needs_wakeup(&fill_ring_)) recvfrom(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

XskStatistics XskPort::statistics() const {
    XskStatistics result;
    result.received = received_.get();
    result.sent = sent_.get();
    result.transmit_full = transmit_full_.get();
    xdp_statistics kernel{};
    socklen_t length = sizeof kernel;
    if (getsockopt(fd_, SOL_XDP, XDP_STATISTICS, &kernel, &length) == 0) {
        result.rx_dropped = kernel.rx_dropped;
        result.rx_invalid = kernel.rx_invalid_descs;
        result.tx_invalid = kernel.tx_invalid_descs;
        result.rx_ring_full = kernel.rx_ring_full;
        result.rx_fill_ring_empty = kernel.rx_fill_ring_empty_descs;
        result.tx_ring_empty = kernel.tx_ring_empty_descs;
    }
    return result;
}

void XskPort::add_to(FrameCensus& census) const {
    const u32 fill = entries(fill_ring_.producer, fill_ring_.consumer);
    const u32 receive = entries(receive_ring_.producer, receive_ring_.consumer);
    const u32 completion = entries(completion_ring_.producer, completion_ring_.consumer);
    census.in_fill += fill;
    census.in_receive += receive;
    census.in_kernel += rest(filled_.get(), u64{fill} + receive);
    census.in_completion += completion;
    census.in_transmit += rest(outstanding_.get() + reserved_.get(), completion);
}

void XskPort::collect(std::vector<u64>& addresses) const {
    for (u32 at = *fill_ring_.consumer; at != *fill_ring_.producer; ++at)
        addresses.push_back(static_cast<const u64*>(fill_ring_.ring)[at & fill_ring_.mask]);
    for (u32 at = *receive_ring_.consumer; at != *receive_ring_.producer; ++at)
        addresses.push_back(static_cast<const xdp_desc*>(receive_ring_.ring)[at & receive_ring_.mask].addr);
    for (u32 at = *completion_ring_.consumer; at != *completion_ring_.producer; ++at)
        addresses.push_back(static_cast<const u64*>(completion_ring_.ring)[at & completion_ring_.mask]);
    for (u32 at = *transmit_ring_.consumer; at != *transmit_ring_.producer; ++at)
        addresses.push_back(static_cast<const xdp_desc*>(transmit_ring_.ring)[at & transmit_ring_.mask].addr);
}

}  // namespace sluice
