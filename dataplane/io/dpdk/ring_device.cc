// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/ring_device.h"

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>

namespace sluice {
namespace {

Result<rte_ring*> make_ring(const std::string& name, u32 length) {
    rte_ring* const ring =
        rte_ring_create(name.c_str(), length, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (ring == nullptr) return system_error(rte_errno, "ring {} of {}", name, length);
    return ring;
}

void empty(rte_ring* ring) {
    void* frame = nullptr;
    while (rte_ring_dequeue(ring, &frame) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
    rte_ring_free(ring);
}

}  // namespace

Result<std::unique_ptr<RingDevice>> RingDevice::create(const DpdkDeviceOptions& options, u32 length) {
    std::unique_ptr<RingDevice> made(new RingDevice);
    for (u16 queue = 0; queue < options.rx_queues; ++queue) {
        auto towards = make_ring(fmt::format("{}-to{}", options.device, queue), length);
        auto from = make_ring(fmt::format("{}-from{}", options.device, queue), length);
        if (towards) made->towards_.push_back(*towards);
        if (from) made->from_.push_back(*from);
        if (!towards || !from) return (towards ? from : towards).error();
    }
    const int port = rte_eth_from_rings(options.device.c_str(), made->towards_.data(), options.rx_queues,
                                        made->from_.data(), options.rx_queues, 0);
    if (port < 0) return system_error(rte_errno, "device {}: no port over rings", options.device);
    auto device = DpdkDevice::adopt(static_cast<u16>(port), options);
    if (!device) return device.error();
    made->device_ = *std::move(device);
    return made;
}

// Frames first, then the pool that they are from.
RingDevice::~RingDevice() {
    for (rte_ring* ring : towards_) empty(ring);
    for (rte_ring* ring : from_) empty(ring);
}

bool RingDevice::offer(std::span<const u8> frame, u16 queue, u32 segment) {
    const size_t most = segment != 0 ? segment : device_->buffer_size();
    rte_mbuf* head = nullptr;
    do {
        rte_mbuf* const part = rte_pktmbuf_alloc(device_->pool());
        if (part == nullptr) {
            rte_pktmbuf_free(head);
            return false;
        }
        const size_t length = std::min(frame.size(), most);
        std::copy_n(frame.begin(), length, rte_pktmbuf_append(part, static_cast<u16>(length)));
        frame = frame.subspan(length);
        if (head == nullptr) {
            head = part;
        } else if (rte_pktmbuf_chain(head, part) != 0) {
            rte_pktmbuf_free(part);
            rte_pktmbuf_free(head);
            return false;
        }
    } while (!frame.empty());
    if (rte_ring_enqueue(towards_[queue], head) == 0) return true;
    rte_pktmbuf_free(head);
    return false;
}

bool RingDevice::take(std::vector<u8>& frame, u16 queue) {
    void* next = nullptr;
    if (rte_ring_dequeue(from_[queue], &next) != 0) return false;
    auto* const mbuf = static_cast<rte_mbuf*>(next);
    const u8* const data = rte_pktmbuf_mtod(mbuf, const u8*);
    frame.assign(data, data + mbuf->data_len);
    rte_pktmbuf_free(mbuf);
    return true;
}

}  // namespace sluice
