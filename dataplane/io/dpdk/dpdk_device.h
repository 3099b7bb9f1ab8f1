// SPDX-License-Identifier: Apache-2.0
//
// A DPDK port (rte_ethdev): a physical device by its PCI address or a virtual one by its arguments, its
// queues, its buffers, and what it counts. Control thread only, unless said otherwise.
//
// Theory of operation. Every device has a buffer pool of its own, so that one that runs dry does not starve
// others. A frame is one buffer, large enough for the MTU: what arrives in several segments is copied into
// one. Each worker may send on a transmit queue of its own where the device has enough of them; who has none,
// and the host path, hands frames over the device's inlet, a ring that the worker of transmit queue 0
// empties.
//
// Offloads: none is asked for. Sums are updated incrementally and a wrong one must stay wrong (RFC 1624), the
// IPv4 header's is checked while the header is read anyway, and a virtual device with receive offloads would
// hand over frames whose sums are not there yet.
//
// Recovery. What carries nothing any more until it is started again says so: a memif client without its
// server, a device whose driver reports a reset, a virtual function whose physical one has come back. Once a
// second the control thread asks for interruption(), suspends the device, waits until no worker uses it, and
// resumes it.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/io/dpdk/alarm.h"
#include "dataplane/io/dpdk/device_counters.h"
#include "dataplane/io/dpdk/dpdk_statistics.h"
#include "dataplane/io/dpdk/driver_sockets.h"
#include "dataplane/io/dpdk/physical_function.h"

struct rte_mempool;
struct rte_ring;

namespace sluice {

struct DpdkDeviceOptions {
    std::string interface;  // the name it goes by in the configuration
    std::string device;     // "0000:3b:00.0" or "net_memif0,role=client,...": as DPDK names it
    u32 ifindex = 0;        // of the frames received from it
    u32 guarded = 0;        // kernel device whose XDP program stays as it is (ProgramGuard); 0: none
    u16 rx_queues = 1;
    u16 workers = 1;  // transmit queues wished for
    u16 rx_descriptors = 1024;
    std::optional<u16> mtu;  // empty: the device's
    bool promiscuous = false;
    std::optional<u32> memory_node;  // for buffers and rings; empty: the device's own
};

class DpdkDevice {
public:
    static constexpr u32 inlet_length = 1024;

    // Plugs, configures and starts the device. The error has DPDK's words.
    static Result<std::unique_ptr<DpdkDevice>> open(const DpdkDeviceOptions& options);
    // Drives a device that exists already, e.g. one made over rings by the test that uses it. It is closed,
    // but not unplugged, with this object.
    static Result<std::unique_ptr<DpdkDevice>> adopt(u16 port_id, const DpdkDeviceOptions& options);
    ~DpdkDevice();  // no worker may use it any more
    DpdkDevice(const DpdkDevice&) = delete;
    DpdkDevice& operator=(const DpdkDevice&) = delete;

    // Memory that a device with these options takes from EAL, in bytes.
    static u64 memory(const DpdkDeviceOptions& options);

    const DpdkDeviceOptions& options() const { return options_; }
    u16 port_id() const { return port_id_; }
    u16 rx_queues() const { return rx_queues_; }
    u16 tx_queues() const { return tx_queues_; }
    const std::string& driver() const { return driver_; }
    u16 mtu() const { return mtu_; }
    const u8* mac() const { return mac_; }
    int socket() const { return socket_; }  // node of its memory, -1: any
    // Why its buffers are not on that node; empty: they are, or may be anywhere.
    const std::string& elsewhere() const { return elsewhere_; }
    // Memory of its buffers.
    std::vector<std::span<const u8>> buffer_areas() const;
    bool symmetric_rss() const { return symmetric_rss_; }
    bool interrupts() const { return interrupts_; }  // receive queues can wake a sleeper
    rte_mempool* pool() const { return pool_; }
    rte_ring* inlet() const { return inlet_; }
    u32 buffer_size() const { return buffer_size_; }

    // Whether workers may use it: a memif whose server is not there has not started. Any thread.
    bool ready() const { return ready_.load(std::memory_order_acquire); }
    // Why it has to be started again to carry anything; empty: it has not.
    std::string interruption() const;
    // Not ready() from here on; a worker may use it for two more rounds.
    void suspend() { ready_.store(false, std::memory_order_release); }
    // Of one that is not ready and that no worker uses any more: starts it anew. False: try again later.
    bool resume();
    // How often it was started: receive interrupts have to be asked for after each.
    u32 starts() const { return starts_.load(std::memory_order_acquire); }
    // Why nothing can pass, although it runs; empty: nothing is known.
    std::string trouble() const;

    // Descriptors of the XDP sockets that opening receive queue i made (net_af_xdp), else -1.
    int xdp_socket(u16 queue) const { return sockets_.xdp(queue); }
    // A descriptor that is readable as long as frames wait in a receive queue; -1: the driver has none.
    int readable(u16 queue) const;

    DpdkLink link() const;
    DpdkDeviceStatistics statistics();
    // Once a second: between readings a 32-bit register must not come round.
    void sample();
    // Everything else that the driver counts, by its names.
    DeviceCounters::Named extended_statistics() { return counters_.extended(link().mbps); }

    // Before any port is made: what its frames are from.
    void set_ifindex(u32 ifindex) { options_.ifindex = ifindex; }

    // Copies a frame into a buffer and on to the inlet. False: no buffer or no room; counted. One thread.
    bool inject(std::span<const u8> frame);
    // Who is to be woken for what lies in the inlet; null: nobody. While no worker runs.
    void set_inlet_alarm(Alarm* alarm) { inlet_alarm_ = alarm; }
    // After frames were put into the inlet. Any thread.
    void inlet_filled() {
        if (inlet_alarm_ != nullptr) inlet_alarm_->ring();
    }

private:
    explicit DpdkDevice(DpdkDeviceOptions options) : options_(std::move(options)) {}

    Status plug();
    Status set_up();
    Status configure();
    Status create_pool();
    Status set_up_queues();
    Status start();
    Status reset();
    bool is_orphan() const;
    std::optional<PhysicalFunction> physical_function() const;
    void settle_mtu(u32 most);
    Status open_receive_queue(u16 queue);

    DpdkDeviceOptions options_;
    std::string name_;     // DPDK's
    std::string bus_;      // "pci", "vdev"; empty: adopted
    std::string address_;  // on the PCI bus, in full; else empty
    std::string driver_;
    bool plugged_ = false;
    bool configured_ = false;
    u16 port_id_ = 0;
    u16 rx_queues_ = 1;
    u16 tx_queues_ = 1;
    u16 rx_descriptors_ = 0;
    u16 tx_descriptors_ = 0;
    u16 mtu_ = 1500;
    u8 mac_[6] = {};
    int socket_ = -1;
    std::string elsewhere_;
    bool symmetric_rss_ = false;
    bool interrupts_ = false;
    u32 buffer_size_ = 0;
    std::atomic<bool> ready_{false};
    bool started_ = false;
    std::atomic<u32> starts_{0};
    std::atomic<bool> reset_told_{false};  // by the driver, on a thread of EAL's
    u64 times_up_ = 0;                     // of the physical function, when this one was started
    DeviceCounters counters_;
    rte_mempool* pool_ = nullptr;
    rte_ring* inlet_ = nullptr;
    Alarm* inlet_alarm_ = nullptr;
    DriverSockets sockets_;
    u64 host_frames_ = 0, host_no_buffer_ = 0, inlet_full_ = 0;  // written by inject() alone
};

}  // namespace sluice
