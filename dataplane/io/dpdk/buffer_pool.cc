// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/buffer_pool.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#include <algorithm>
#include <mutex>

namespace sluice {
namespace {

constexpr u32 ethernet_room = 22;  // Ethernet header and two VLAN tags
constexpr u32 least_buffer = 2048;
constexpr u32 largest_buffer = 65535 - RTE_PKTMBUF_HEADROOM;
constexpr u32 pool_cache = 256;
constexpr u32 engine_holds = 1024;  // frames that wait in a worker's engine or batch

// Devices use our addresses (IOVA as VA), but the pool gives none to what may cross a page.
void use_own_address(rte_mempool*, void*, void* object, unsigned) {
    auto* const mbuf = static_cast<rte_mbuf*>(object);
    rte_mempool_get_header(object)->iova = reinterpret_cast<rte_iova_t>(object);
    rte_mbuf_iova_set(mbuf, reinterpret_cast<rte_iova_t>(mbuf->buf_addr));
}

bool devices_use_our_addresses() { return rte_eal_iova_mode() == RTE_IOVA_VA; }

// What rte_pktmbuf_pool_create() does, which takes no flags. 0, or a negative code.
int fill(rte_mempool* pool, u16 room) {
    if (const int code = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), nullptr); code != 0)
        return code;
    rte_pktmbuf_pool_private description{};
    description.mbuf_data_room_size = room;
    rte_pktmbuf_pool_init(pool, &description);
    if (const int code = rte_mempool_populate_default(pool); code < 0) return code;
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
    if (devices_use_our_addresses()) rte_mempool_obj_iter(pool, use_own_address, nullptr);
    return 0;
}

}  // namespace

u32 buffer_size_for(u32 mtu) {
    const u32 needed = std::max(least_buffer, mtu + ethernet_room);
    return std::min((needed + 127) / 128 * 128, largest_buffer);
}

u32 largest_buffered_mtu() { return largest_buffer - ethernet_room; }

u32 buffers_for(u32 rx_queues, u32 rx_descriptors, u32 tx_queues, u32 tx_descriptors, u32 workers,
                u32 inlet_length) {
    return rx_queues * rx_descriptors + tx_queues * tx_descriptors +
           workers * (engine_holds + 2 * pool_cache) + inlet_length;
}

u64 buffer_footprint(u32 buffer_size) {
    constexpr u64 around = 320;  // the pool's header, struct rte_mbuf, head room
    return buffer_size + around;
}

rte_mempool* create_buffer_pool(const BufferPoolOptions& options) {
    const auto room = static_cast<u16>(options.buffer_size + RTE_PKTMBUF_HEADROOM);
    rte_mempool* const pool = rte_mempool_create_empty(
        options.name.c_str(), options.buffers, static_cast<u32>(sizeof(rte_mbuf)) + room, pool_cache,
        sizeof(rte_pktmbuf_pool_private), options.node,
        devices_use_our_addresses() ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0);
    if (pool == nullptr) return nullptr;
    const int code = fill(pool, room);
    if (code == 0) return pool;
    rte_mempool_free(pool);
    rte_errno = -code;
    return nullptr;
}

void release_buffer_pool(rte_mempool* pool) {
    static std::mutex mutex;
    static std::vector<rte_mempool*> waiting;
    const std::lock_guard lock(mutex);
    if (pool != nullptr) waiting.push_back(pool);
    std::erase_if(waiting, [](rte_mempool* each) {
        if (rte_mempool_in_use_count(each) != 0) return false;
        rte_mempool_free(each);
        return true;
    });
}

bool lies_end_to_end(rte_mempool* pool) {
    constexpr u64 page = 4096;
    const auto areas = areas_of(pool);
    const u64 object = u64{pool->header_size} + pool->elt_size + pool->trailer_size;
    return areas.size() == 1 && areas.front().size() <= pool->size * object + page;
}

std::vector<std::span<const u8>> areas_of(rte_mempool* pool) {
    std::vector<std::span<const u8>> areas;
    const auto add = [](rte_mempool*, void* to, rte_mempool_memhdr* chunk, unsigned) {
        static_cast<std::vector<std::span<const u8>>*>(to)->emplace_back(static_cast<const u8*>(chunk->addr),
                                                                         chunk->len);
    };
    rte_mempool_mem_iter(pool, add, &areas);
    return areas;
}

}  // namespace sluice
