// SPDX-License-Identifier: Apache-2.0
//
// What workers ask of the control thread: "resolve this neighbour". Bounded and without locks: a fixed table
// in which a request has one place by its hash, so that asking twice takes one place. A worker makes a system
// call only when it finds nobody has asked since the control thread last looked.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/address.h"

namespace sluice::netlink {

struct NeighborRequest {
    std::uint32_t ifindex = 0;
    struct address address {};
};

class NeighborRequests {
public:
    static Result<std::unique_ptr<NeighborRequests>> create();

    // Any thread, any time. A request that finds its place taken by another one is lost: whoever sent the
    // packet sends again.
    void ask(std::uint32_t ifindex, const struct address& address);

    // Readable when something was asked. Control thread only, as is take().
    int fd() const { return wake_.get(); }
    std::vector<NeighborRequest> take();

    std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

private:
    enum State : std::uint32_t { empty, writing, ready };
    struct Place {
        std::atomic<std::uint32_t> state{empty};
        NeighborRequest request;
    };
    static constexpr std::size_t places = 1024;

    NeighborRequests() = default;

    UniqueFd wake_;
    std::atomic<bool> asked_{false};
    std::atomic<std::uint64_t> lost_{0};
    std::array<Place, places> table_;
};

}  // namespace sluice::netlink
