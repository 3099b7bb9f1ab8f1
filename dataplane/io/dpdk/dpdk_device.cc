// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/dpdk_device.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "dataplane/base/log.h"
#include "dataplane/io/dpdk/buffer_pool.h"
#include "dataplane/io/dpdk/device_arguments.h"
#include "dataplane/io/dpdk/eal.h"
#include "dataplane/io/dpdk/program_guard.h"
#include "dataplane/io/pci/pci_address.h"

namespace sluice {
namespace {

constexpr u16 default_mtu = 1500;
constexpr u16 tx_descriptors = 1024;
constexpr size_t longest_key = 52;

// A key of which every 16 bits are alike: the hash of (a, b) is that of (b, a), so both directions of a
// connection meet the same queue (Woo and Park, "Scalable TCP session monitoring with symmetric receive-side
// scaling", 2012).
constexpr u16 symmetric_pair = 0x6d5a;

Error refused(const std::string& interface, int code, std::string_view what) {
    const std::string words = Eal::take_complaints();
    // Drivers say -1 for anything.
    const Error error = code == -1 ? make_error("{}: refused", what) : system_error(code, "{}", what);
    return Error{fmt::format("interface {}: {}{}{}", interface, error.message,
                             words.empty() ? "" : "; DPDK says: ", words),
                 error.code};
}

// On a thread of EAL's.
int on_reset(u16, rte_eth_event_type, void* told, void*) {
    static_cast<std::atomic<bool>*>(told)->store(true, std::memory_order_release);
    return 0;
}

}  // namespace

u64 DpdkDevice::memory(const DpdkDeviceOptions& options) {
    constexpr u64 rings = u64{8} << 20;  // descriptor rings, the inlet, what the driver allocates
    const u64 buffers =
        buffers_for(options.rx_queues, options.rx_descriptors, std::max(options.workers, options.rx_queues),
                    tx_descriptors, options.workers, inlet_length);
    return buffers * buffer_footprint(buffer_size_for(options.mtu.value_or(default_mtu))) + rings;
}

Result<std::unique_ptr<DpdkDevice>> DpdkDevice::open(const DpdkDeviceOptions& options) {
    std::unique_ptr<DpdkDevice> device(new DpdkDevice(options));
    Eal::take_complaints();
    const ProgramGuard guard(options.guarded);
    if (Status status = device->plug(); !status) return status.error();
    if (Status status = device->set_up(); !status) return status.error();
    return device;
}

Result<std::unique_ptr<DpdkDevice>> DpdkDevice::adopt(u16 port_id, const DpdkDeviceOptions& options) {
    std::unique_ptr<DpdkDevice> device(new DpdkDevice(options));
    device->port_id_ = port_id;
    if (Status status = device->set_up(); !status) return status.error();
    return device;
}

Status DpdkDevice::plug() {
    const size_t comma = std::min(options_.device.find(','), options_.device.size());
    name_ = options_.device.substr(0, comma);
    const std::string arguments = options_.device.substr(std::min(comma + 1, options_.device.size()));
    bus_ = pci_address(name_).empty() ? "vdev" : "pci";
    u16 known = 0;
    if (rte_eth_dev_get_port_by_name(name_.c_str(), &known) == 0)
        return make_error("interface {}: device {}: in use by another interface", options_.interface, name_);
    if (Status ready = prepare_device(options_.device); !ready)
        return std::move(ready).with_context(
            fmt::format("interface {}: device {}", options_.interface, options_.device));
    const auto add = [&] { return rte_eal_hotplug_add(bus_.c_str(), name_.c_str(), arguments.c_str()); };
    const int code = name_.starts_with("net_af_packet") ? sockets_.packet_made_by(add) : add();
    if (code != 0) return refused(options_.interface, code, fmt::format("device {}", options_.device));
    plugged_ = true;
    if (rte_eth_dev_get_port_by_name(name_.c_str(), &port_id_) == 0) return {};
    // The port may have a name of its own. Not by rte_eth_iterator: 22.11's takes a filter without arguments
    // for a null pointer.
    u16 id = 0;
    RTE_ETH_FOREACH_DEV(id) {
        rte_eth_dev_info info{};
        if (rte_eth_dev_info_get(id, &info) != 0 || info.device == nullptr) continue;
        if (name_ != rte_dev_name(info.device)) continue;
        port_id_ = id;
        return {};
    }
    return make_error("interface {}: device {}: DPDK made no Ethernet port of it", options_.interface,
                      options_.device);
}

Status DpdkDevice::set_up() {
    if (Status status = configure(); !status) return status;
    if (Status status = create_pool(); !status) return status;
    if (Status status = set_up_queues(); !status) return status;
    if (Status status = start(); !status) return status;
    const std::string words = Eal::take_complaints();
    if (!started_)
        spdlog::warn("interface {}: device {}: no server yet: {}", options_.interface, name_, words);
    rte_eth_dev_callback_register(port_id_, RTE_ETH_EVENT_INTR_RESET, on_reset, &reset_told_);
    counters_.open(port_id_, !address_.empty());
    return {};
}

Status DpdkDevice::start() {
    if (const auto physical = physical_function()) times_up_ = physical->times_up;
    const int code = rte_eth_dev_start(port_id_);
    started_ = code == 0;
    if (code != 0 && !is_orphan())
        return refused(options_.interface, code, fmt::format("device {}: start", name_));
    // Frames to other hosts pass to the host, which is the engine's to decide where the device leaves it to
    // us.
    if (options_.promiscuous) rte_eth_promiscuous_enable(port_id_);
    rte_eth_allmulticast_enable(port_id_);
    starts_.fetch_add(1, std::memory_order_release);
    ready_.store(started_, std::memory_order_release);
    return {};
}

void DpdkDevice::settle_mtu(u32 most) {
    u16 present = default_mtu;
    rte_eth_dev_get_mtu(port_id_, &present);
    const u32 largest = std::min(most, largest_buffered_mtu());
    mtu_ = static_cast<u16>(std::min<u32>(options_.mtu.value_or(std::min(present, default_mtu)), largest));
}

Status DpdkDevice::configure() {
    rte_eth_dev_info info{};
    if (const int code = rte_eth_dev_info_get(port_id_, &info); code != 0)
        return refused(options_.interface, code, fmt::format("device {}: its description", name_));
    driver_ = info.driver_name;
    if (bus_ == "pci") address_ = rte_dev_name(info.device);
    // A virtual device has the node of the thread that made it, which says nothing.
    socket_ = options_.memory_node ? static_cast<int>(*options_.memory_node)
              : bus_ == "pci"      ? rte_eth_dev_socket_id(port_id_)
                                   : SOCKET_ID_ANY;
    rx_queues_ = std::max<u16>(options_.rx_queues, 1);
    if (rx_queues_ > info.max_rx_queues) {
        return make_error("interface {}: device {}: {} receive queues: expected at most {}",
                          options_.interface, name_, rx_queues_, info.max_rx_queues);
    }
    // Virtual devices pair a receive with a transmit queue; their peer would not serve more.
    const u16 wished = bus_ == "pci" ? options_.workers : rx_queues_;
    tx_queues_ = std::clamp<u16>(wished, 1, std::max<u16>(info.max_tx_queues, 1));
    settle_mtu(info.max_mtu != 0 ? info.max_mtu : default_mtu);
    rte_eth_conf conf{};
    std::vector<u8> key(info.hash_key_size != 0 ? info.hash_key_size : longest_key);
    for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<u8>(symmetric_pair >> (i % 2 == 0 ? 8 : 0));
    const u64 hashes =
        info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP);
    symmetric_rss_ = rx_queues_ > 1 && hashes != 0 && info.hash_key_size != 0;
    if (symmetric_rss_) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf = {key.data(), static_cast<u8>(key.size()), hashes};
    }
    conf.rxmode.mtu = std::clamp<u32>(mtu_, info.min_mtu, info.max_mtu != 0 ? info.max_mtu : mtu_);
    conf.intr_conf.rxq = 1;
    int code = rte_eth_dev_configure(port_id_, rx_queues_, tx_queues_, &conf);
    if (code != 0) {
        conf.intr_conf.rxq = 0;
        code = rte_eth_dev_configure(port_id_, rx_queues_, tx_queues_, &conf);
    }
    if (code != 0) {
        return refused(
            options_.interface, code,
            fmt::format("device {}: {} receive and {} transmit queues", name_, rx_queues_, tx_queues_));
    }
    configured_ = true;
    interrupts_ = conf.intr_conf.rxq != 0;
    rte_ether_addr mac{};
    if (rte_eth_macaddr_get(port_id_, &mac) == 0) std::copy_n(mac.addr_bytes, sizeof mac_, mac_);
    rx_descriptors_ = options_.rx_descriptors;
    tx_descriptors_ = tx_descriptors;
    rte_eth_dev_adjust_nb_rx_tx_desc(port_id_, &rx_descriptors_, &tx_descriptors_);
    return {};
}

Status DpdkDevice::create_pool() {
    buffer_size_ = buffer_size_for(mtu_);
    const u32 count =
        buffers_for(rx_queues_, rx_descriptors_, tx_queues_, tx_descriptors_, options_.workers, inlet_length);
    static std::atomic<u32> serial{0};  // one of that port number may not be free yet
    BufferPoolOptions pool{fmt::format("sluice-{}-{}", port_id_, serial++), count, buffer_size_, socket_};
    pool_ = create_buffer_pool(pool);
    if (pool_ == nullptr && rte_errno == ENOMEM && socket_ != SOCKET_ID_ANY) {
        elsewhere_ =
            fmt::format("node {} has no pages for {} buffers of {} bytes", socket_, count, buffer_size_);
        pool.node = socket_ = SOCKET_ID_ANY;
        Eal::take_complaints();
        pool_ = create_buffer_pool(pool);
    }
    if (pool_ == nullptr) {
        return refused(options_.interface, rte_errno,
                       fmt::format("device {}: {} buffers of {} bytes", name_, count, buffer_size_));
    }
    if (options_.guarded != 0 && !lies_end_to_end(pool_)) {
        return make_error(
            "interface {}: device {}: its buffers have gaps between them, which its driver cannot have: "
            "expected addresses of our own for all devices (vfio without an IOMMU is switched on)",
            options_.interface, name_);
    }
    const std::string ring = fmt::format("sluice-inlet-{}", port_id_);
    inlet_ = rte_ring_create(ring.c_str(), inlet_length, socket_, RING_F_SC_DEQ);
    if (inlet_ == nullptr)
        return refused(options_.interface, rte_errno, fmt::format("device {}: inlet ring", name_));
    return {};
}

Status DpdkDevice::set_up_queues() {
    const auto node = static_cast<unsigned>(socket_);
    for (u16 queue = 0; queue < rx_queues_; ++queue) {
        if (Status status = open_receive_queue(queue); !status) return status;
    }
    for (u16 queue = 0; queue < tx_queues_; ++queue) {
        const int code = rte_eth_tx_queue_setup(port_id_, queue, tx_descriptors_, node, nullptr);
        if (code != 0)
            return refused(options_.interface, code,
                           fmt::format("device {}: transmit queue {}", name_, queue));
    }
    return {};
}

Status DpdkDevice::open_receive_queue(u16 queue) {
    const int code = sockets_.xdp_made_by([&] {
        return rte_eth_rx_queue_setup(port_id_, queue, rx_descriptors_, static_cast<unsigned>(socket_),
                                      nullptr, pool_);
    });
    if (code != 0)
        return refused(options_.interface, code, fmt::format("device {}: receive queue {}", name_, queue));
    return {};
}

DpdkDevice::~DpdkDevice() {
    const Eal::Quiet quiet;
    const ProgramGuard guard(options_.guarded);
    if (configured_) {
        rte_eth_dev_callback_unregister(port_id_, RTE_ETH_EVENT_INTR_RESET, on_reset, &reset_told_);
        rte_eth_dev_stop(port_id_);
        if (!plugged_) rte_eth_dev_close(port_id_);
    }
    if (plugged_) rte_eal_hotplug_remove(bus_.c_str(), name_.c_str());
    if (const u32 left = sockets_.close(); left != 0)
        spdlog::debug("interface {}: {} XDP sockets were left open", options_.interface, left);
    if (inlet_ != nullptr) {
        void* frame = nullptr;
        while (rte_ring_dequeue(inlet_, &frame) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
        rte_ring_free(inlet_);
    }
    release_buffer_pool(pool_);
}

std::vector<std::span<const u8>> DpdkDevice::buffer_areas() const { return areas_of(pool_); }

// net_tap shows its own, which needs no switching on: it says that it cannot.
int DpdkDevice::readable(u16 queue) const {
    if (const int socket = std::max(sockets_.xdp(queue), sockets_.packet(queue)); socket >= 0) return socket;
    if (!interrupts_ || rte_eth_dev_rx_intr_enable(port_id_, queue) != -ENOTSUP) return -1;
    return rte_eth_dev_rx_intr_ctl_q_get_fd(port_id_, queue);
}

DpdkLink DpdkDevice::link() const {
    rte_eth_link link{};
    if (rte_eth_link_get_nowait(port_id_, &link) != 0) return {};
    const auto physical = physical_function();
    const bool known = link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN;
    return {link.link_status == RTE_ETH_LINK_UP && (!physical || physical->up), known ? link.link_speed : 0,
            link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX};
}

DpdkDeviceStatistics DpdkDevice::statistics() {
    DpdkDeviceStatistics result = counters_.basic(link().mbps);
    sockets_.add_to(result);
    result.host_frames = __atomic_load_n(&host_frames_, __ATOMIC_RELAXED);
    result.host_no_buffer = __atomic_load_n(&host_no_buffer_, __ATOMIC_RELAXED);
    result.inlet_full = __atomic_load_n(&inlet_full_, __ATOMIC_RELAXED);
    result.buffers = pool_->size;
    result.buffers_in_use = rte_mempool_in_use_count(pool_);
    return result;
}

void DpdkDevice::sample() {
    const u32 mbps = link().mbps;
    counters_.basic(mbps);
    counters_.extended(mbps);
}

bool DpdkDevice::inject(std::span<const u8> frame) {
    const auto count = [](u64& counter) { __atomic_store_n(&counter, counter + 1, __ATOMIC_RELAXED); };
    if (frame.size() > buffer_size_) return false;
    rte_mbuf* const buffer = rte_pktmbuf_alloc(pool_);
    if (buffer == nullptr) {
        count(host_no_buffer_);
        return false;
    }
    std::copy(frame.begin(), frame.end(), rte_pktmbuf_mtod(buffer, u8*));
    buffer->data_len = static_cast<u16>(frame.size());
    buffer->pkt_len = static_cast<u32>(frame.size());
    if (rte_ring_mp_enqueue(inlet_, buffer) != 0) {
        count(inlet_full_);
        rte_pktmbuf_free(buffer);
        return false;
    }
    count(host_frames_);
    inlet_filled();
    return true;
}

}  // namespace sluice
