// SPDX-License-Identifier: Apache-2.0
//
// The buffers of a DPDK device: a pool of mbufs without private areas.
//
// DPDK lays the buffers of a pool so that none crosses a page, for devices that know physical addresses. On
// plain pages that is one buffer to a page, 4 KiB for 2.4; and net_af_xdp, which takes the pool for one
// row of buffers, end to end, tells the kernel a smaller area than they lie in: the kernel then drops
// what lies behind it, in silence. So they lie end to end wherever devices use our own addresses (IOVA as
// VA).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "dataplane/packet/target.h"

struct rte_mempool;

namespace sluice {

struct BufferPoolOptions {
    std::string name;
    u32 buffers = 0;
    u32 buffer_size = 0;  // without head room
    int node = -1;        // of their memory; -1: any
};

// Buffers for frames of this MTU, with VLAN tags.
u32 buffer_size_for(u32 mtu);
// The largest MTU that buffers exist for.
u32 largest_buffered_mtu();
// As many as all rings hold at once, and what workers have in hand.
u32 buffers_for(u32 rx_queues, u32 rx_descriptors, u32 tx_queues, u32 tx_descriptors, u32 workers,
                u32 inlet_length);
// Bytes of one, with what DPDK puts around it.
u64 buffer_footprint(u32 buffer_size);

// Null: rte_errno says why.
rte_mempool* create_buffer_pool(const BufferPoolOptions& options);
// Once none of the buffers is with another device: transmit rings hold what they sent until they need the
// room. What waits is looked at again whenever a pool goes. Null: only that.
void release_buffer_pool(rte_mempool* pool);
// In one area, without gaps.
bool lies_end_to_end(rte_mempool* pool);
// Where the buffers lie.
std::vector<std::span<const u8>> areas_of(rte_mempool* pool);

}  // namespace sluice
