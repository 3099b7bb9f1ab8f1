// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/netlink/neighbor_requests.h"

#include <sys/eventfd.h>

#include <cerrno>

namespace sluice::netlink {

Result<std::unique_ptr<NeighborRequests>> NeighborRequests::create() {
    std::unique_ptr<NeighborRequests> requests(new NeighborRequests);
    requests->wake_.reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!requests->wake_) return system_error(errno, "eventfd");
    return requests;
}

void NeighborRequests::ask(std::uint32_t ifindex, const struct address& address) {
    std::uint64_t h = (address.word[0] ^ ifindex) * 0x9e3779b97f4a7c15ULL;
    h = (h ^ (h >> 32) ^ address.word[1]) * 0xbf58476d1ce4e5b9ULL;
    h = (h ^ (h >> 29)) * 0x94d049bb133111ebULL;
    Place& place = table_[(h >> 32) % places];
    std::uint32_t state = place.state.load(std::memory_order_acquire);
    if (state == ready) {
        const NeighborRequest& there = place.request;
        if (there.ifindex != ifindex || !address_equal(&there.address, &address))
            lost_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    if (state != empty || !place.state.compare_exchange_strong(state, writing, std::memory_order_acq_rel))
        return;
    place.request = {ifindex, address};
    place.state.store(ready, std::memory_order_release);
    if (asked_.exchange(true, std::memory_order_acq_rel)) return;
    const std::uint64_t one = 1;
    if (write(wake_.get(), &one, sizeof one) < 0) asked_.store(false, std::memory_order_release);
}

std::vector<NeighborRequest> NeighborRequests::take() {
    std::uint64_t count = 0;
    // EAGAIN says that nothing was asked; looking all the same does no harm.
    if (read(wake_.get(), &count, sizeof count) < 0) count = 0;
    asked_.store(false, std::memory_order_release);
    std::vector<NeighborRequest> requests;
    for (Place& place : table_) {
        if (place.state.load(std::memory_order_acquire) != ready) continue;
        requests.push_back(place.request);
        place.state.store(empty, std::memory_order_release);
    }
    return requests;
}

}  // namespace sluice::netlink
