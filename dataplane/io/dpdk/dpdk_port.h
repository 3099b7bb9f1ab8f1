// SPDX-License-Identifier: Apache-2.0
//
// A DPDK device as one worker's port (dataplane/io/port.h): some of its receive queues, perhaps none, and a
// way to transmit, which is a queue of its own or the device's inlet.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/io/dpdk/dpdk_device.h"
#include "dataplane/io/port.h"

struct rte_mbuf;

namespace sluice {

class DpdkPort {
public:
    using Statistics = DpdkPortStatistics;

    // `transmit_queue`: 0's owner also empties the inlet; empty: frames go to the inlet.
    DpdkPort(DpdkDevice& device, std::vector<u16> receive_queues, std::optional<u16> transmit_queue);
    ~DpdkPort();
    DpdkPort(const DpdkPort&) = delete;
    DpdkPort& operator=(const DpdkPort&) = delete;

    // On the worker's thread, before and after all else.
    static void enter_thread();
    static void leave_thread();

    u32 receive(std::span<Frame> frames);
    bool send(const Frame& frame);
    void flush();
    void release(const Frame& frame);
    // An empty buffer with head room, to be filled and sent. False: the pool is dry.
    bool allocate(Frame& frame);

    // Interrupts on, where the device has them.
    void prepare_to_sleep();
    // And off again.
    void wake();
    // How long the worker may sleep in one go, where not every frame is certain to wake it.
    u64 longest_nap_ns() const;
    // Ends its sleep, where it may be long. Any thread.
    void rouse() {
        if (alarm_) alarm_->ring();
    }

    int descriptor() const { return alarm_ ? alarm_->descriptor() : epoll_.get(); }
    u32 ifindex() const { return device_.options().ifindex; }
    const DpdkDevice& device() const { return device_; }
    const std::vector<u16>& receive_queues() const { return receive_queues_; }
    DpdkPortStatistics statistics() const;
    // Frames that wait in it for the device to take them.
    u32 pending() const { return pending_count_.load(std::memory_order_relaxed); }

private:
    static constexpr u32 burst = 64;

    bool empties_inlet() const { return transmit_queue_ == u16{0}; }
    void set_alarm();
    bool arm_interrupts();
    rte_mbuf* in_one_piece(rte_mbuf* received);
    void transmit_pending();
    void empty_inlet();

    DpdkDevice& device_;
    std::vector<u16> receive_queues_;
    std::optional<u16> transmit_queue_;
    size_t next_queue_ = 0;
    std::unique_ptr<Alarm> alarm_;
    UniqueFd epoll_;         // without an alarm: of receive interrupts
    u32 armed_for_ = 0;      // the device's start that `epoll_` has the queues of
    bool may_wake_ = false;  // interrupts are on
    std::array<rte_mbuf*, burst> pending_{};
    std::atomic<u32> pending_count_{0};  // the worker's; others read
    struct {
        std::atomic<u64> received{0}, sent{0}, handed_over{0}, transmit_full{0}, oversize{0}, no_buffer{0},
            inlet_sent{0}, inlet_dropped{0};
    } count_;
};

}  // namespace sluice
