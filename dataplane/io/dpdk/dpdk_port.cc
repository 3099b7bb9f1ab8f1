// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/dpdk_port.h"

#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sys/epoll.h>

#include <algorithm>
#include <limits>

#include "dataplane/io/dpdk/eal.h"

namespace sluice {
namespace {

// One writer, the worker: a plain add that other threads may read.
void add(std::atomic<u64>& counter, u64 count) {
    counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

// Our pools have no private area, so a buffer lies right behind its mbuf.
rte_mbuf* mbuf_of(const Frame& frame) { return reinterpret_cast<rte_mbuf*>(frame.buffer) - 1; }

// One segment in its own buffer, which nobody shares, and the tag still in it: anything else is rare.
bool is_plain(const rte_mbuf* mbuf) {
    constexpr u64 special = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_RX_VLAN_STRIPPED;
    return mbuf->nb_segs == 1 && (mbuf->ol_flags & special) == 0 && mbuf->buf_addr == mbuf + 1 &&
           rte_mbuf_refcnt_read(mbuf) == 1;
}

}  // namespace

DpdkPort::DpdkPort(DpdkDevice& device, std::vector<u16> receive_queues, std::optional<u16> transmit_queue)
    : device_(device), receive_queues_(std::move(receive_queues)), transmit_queue_(transmit_queue) {
    set_alarm();
    if (alarm_ && empties_inlet()) device_.set_inlet_alarm(alarm_.get());
    if (alarm_ || !device.interrupts() || receive_queues_.empty()) return;
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    if (!arm_interrupts()) epoll_.reset();
}

DpdkPort::~DpdkPort() {
    for (u32 i = 0; i < pending(); ++i) rte_pktmbuf_free(pending_[i]);
    if (alarm_ && empties_inlet()) device_.set_inlet_alarm(nullptr);
    if (!epoll_) return;
    const Eal::Quiet quiet;
    for (const u16 queue : receive_queues_)
        rte_eth_dev_rx_intr_ctl_q(device_.port_id(), queue, epoll_.get(), RTE_INTR_EVENT_DEL, nullptr);
}

// Over all queues or none: a sleeper must not be woken by some only.
void DpdkPort::set_alarm() {
    const Eal::Quiet quiet;
    std::vector<int> descriptors;
    for (const u16 queue : receive_queues_) descriptors.push_back(device_.readable(queue));
    alarm_ = Alarm::over(descriptors);
}

void DpdkPort::enter_thread() { Eal::register_thread(); }
void DpdkPort::leave_thread() { Eal::unregister_thread(); }

// Of all queues or none, as with an alarm.
bool DpdkPort::arm_interrupts() {
    const Eal::Quiet quiet;
    armed_for_ = device_.starts();
    for (const u16 queue : receive_queues_) {
        if (rte_eth_dev_rx_intr_enable(device_.port_id(), queue) != 0) return false;
        rte_eth_dev_rx_intr_disable(device_.port_id(), queue);
        if (rte_eth_dev_rx_intr_ctl_q(device_.port_id(), queue, epoll_.get(), RTE_INTR_EVENT_ADD, nullptr) !=
            0)
            return false;
    }
    return true;
}

// What came in several segments, shares its buffer or lost its tag, as a plain frame. Null: dropped, counted.
rte_mbuf* DpdkPort::in_one_piece(rte_mbuf* received) {
    const bool tag = (received->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0;
    const u32 tag_length = tag ? sizeof(rte_vlan_hdr) : 0;
    rte_mbuf* whole = nullptr;
    if (received->pkt_len + tag_length > device_.buffer_size() || received->pkt_len < RTE_ETHER_HDR_LEN) {
        add(count_.oversize, 1);
    } else if (whole = rte_pktmbuf_alloc(device_.pool()); whole == nullptr) {
        add(count_.no_buffer, 1);
    } else {
        u8* to = rte_pktmbuf_mtod(whole, u8*);
        u32 skip = 0;
        if (tag) {
            const auto* header = rte_pktmbuf_mtod(received, const rte_ether_hdr*);
            std::memcpy(to, header, 2 * RTE_ETHER_ADDR_LEN);
            const rte_be16_t words[2] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(received->vlan_tci)};
            std::memcpy(to + 2 * RTE_ETHER_ADDR_LEN, words, sizeof words);
            skip = 2 * RTE_ETHER_ADDR_LEN;
        }
        const u32 length = received->pkt_len - skip;
        u8* const rest = to + skip + tag_length;
        const void* from = rte_pktmbuf_read(received, skip, length, rest);
        if (from != rest) std::memcpy(rest, from, length);
        whole->data_len = static_cast<u16>(received->pkt_len + tag_length);
        whole->pkt_len = whole->data_len;
    }
    rte_pktmbuf_free(received);
    return whole;
}

u32 DpdkPort::receive(std::span<Frame> frames) {
    if (receive_queues_.empty() || !device_.ready()) return 0;
    constexpr u32 most = 256;
    std::array<rte_mbuf*, most> received;
    const auto room = static_cast<u16>(std::min<size_t>(frames.size(), most));
    u16 count = 0;
    for (size_t i = 0; i < receive_queues_.size() && count < room; ++i) {
        const u16 queue = receive_queues_[next_queue_];
        next_queue_ = next_queue_ + 1 == receive_queues_.size() ? 0 : next_queue_ + 1;
        count += rte_eth_rx_burst(device_.port_id(), queue, &received[count], static_cast<u16>(room - count));
    }
    u32 taken = 0;
    for (u32 i = 0; i < count; ++i) {
        rte_mbuf* mbuf = received[i];
        if (!is_plain(mbuf)) [[unlikely]] {
            mbuf = in_one_piece(mbuf);
            if (mbuf == nullptr) continue;
        }
        Frame& frame = frames[taken++];
        frame.buffer = static_cast<u8*>(mbuf->buf_addr);
        frame.data = frame.buffer + mbuf->data_off;
        frame.end = frame.data + mbuf->data_len;
        frame.ifindex = device_.options().ifindex;
    }
    if (taken != 0) add(count_.received, taken);
    return taken;
}

bool DpdkPort::send(const Frame& frame) {
    if (pending() == burst) {
        transmit_pending();
        if (pending() == burst) {
            add(count_.transmit_full, 1);
            return false;
        }
    }
    rte_mbuf* const mbuf = mbuf_of(frame);
    mbuf->data_off = static_cast<u16>(frame.data - frame.buffer);
    mbuf->data_len = static_cast<u16>(frame.end - frame.data);
    mbuf->pkt_len = mbuf->data_len;
    mbuf->ol_flags = 0;
    pending_[pending()] = mbuf;
    pending_count_.store(pending() + 1, std::memory_order_relaxed);
    return true;
}

void DpdkPort::transmit_pending() {
    const u32 count = pending();
    u32 gone = 0;
    if (!device_.ready()) return;
    if (transmit_queue_) {
        gone =
            rte_eth_tx_burst(device_.port_id(), *transmit_queue_, pending_.data(), static_cast<u16>(count));
        add(count_.sent, gone);
    } else {
        gone = rte_ring_mp_enqueue_burst(device_.inlet(), reinterpret_cast<void**>(pending_.data()), count,
                                         nullptr);
        add(count_.handed_over, gone);
        if (gone != 0) device_.inlet_filled();
    }
    if (gone == 0) return;
    std::copy(pending_.begin() + gone, pending_.begin() + count, pending_.begin());
    pending_count_.store(count - gone, std::memory_order_relaxed);
}

// What the device does not take is lost: its owners have let go of it.
void DpdkPort::empty_inlet() {
    std::array<rte_mbuf*, burst> frames;
    const u32 count =
        rte_ring_sc_dequeue_burst(device_.inlet(), reinterpret_cast<void**>(frames.data()), burst, nullptr);
    const u32 gone =
        rte_eth_tx_burst(device_.port_id(), *transmit_queue_, frames.data(), static_cast<u16>(count));
    add(count_.inlet_sent, gone);
    add(count_.inlet_dropped, count - gone);
    for (u32 i = gone; i < count; ++i) rte_pktmbuf_free(frames[i]);
}

void DpdkPort::flush() {
    if (pending() != 0) transmit_pending();
    if (empties_inlet() && device_.ready() && rte_ring_empty(device_.inlet()) == 0) empty_inlet();
}

void DpdkPort::release(const Frame& frame) { rte_pktmbuf_free_seg(mbuf_of(frame)); }

bool DpdkPort::allocate(Frame& frame) {
    rte_mbuf* const mbuf = rte_pktmbuf_alloc(device_.pool());
    if (mbuf == nullptr) {
        add(count_.no_buffer, 1);
        return false;
    }
    frame.buffer = static_cast<u8*>(mbuf->buf_addr);
    frame.data = frame.end = frame.buffer + mbuf->data_off;
    frame.ifindex = ifindex();
    return true;
}

// Virtual devices without descriptors cannot wake a sleeper; a ring of 1,024 lasts for such a nap at 1.3
// million packets per second. What the device has not taken yet is tried again as soon.
u64 DpdkPort::longest_nap_ns() const {
    constexpr u64 nap_ns = 750'000;
    const bool woken = alarm_ && alarm_->is_certain() && pending() == 0 && device_.ready();
    return woken ? std::numeric_limits<u64>::max() : nap_ns;
}

// A device that was started again has other descriptors. Without them the worker wakes by its nap's end.
void DpdkPort::prepare_to_sleep() {
    flush();
    if (alarm_) {
        alarm_->about_to_sleep();
        if (empties_inlet() && rte_ring_empty(device_.inlet()) == 0) alarm_->ring();
    }
    if (!epoll_ || !device_.ready()) return;
    may_wake_ = armed_for_ == device_.starts() || arm_interrupts();
    if (!may_wake_) return;
    for (const u16 queue : receive_queues_) rte_eth_dev_rx_intr_enable(device_.port_id(), queue);
}

void DpdkPort::wake() {
    if (alarm_) alarm_->awake();
    if (!may_wake_ || !device_.ready()) return;
    may_wake_ = false;
    constexpr int most = 8;
    rte_epoll_event events[most];
    rte_epoll_wait(epoll_.get(), events, most, 0);
    for (const u16 queue : receive_queues_) rte_eth_dev_rx_intr_disable(device_.port_id(), queue);
}

DpdkPortStatistics DpdkPort::statistics() const {
    const auto read = [](const std::atomic<u64>& counter) { return counter.load(std::memory_order_relaxed); };
    return {read(count_.received),      read(count_.sent),         read(count_.handed_over),
            read(count_.transmit_full), read(count_.oversize),     read(count_.no_buffer),
            read(count_.inlet_sent),    read(count_.inlet_dropped)};
}

}  // namespace sluice
