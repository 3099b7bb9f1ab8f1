// SPDX-License-Identifier: Apache-2.0
//
// Follows the kernel's links, addresses, routes and neighbours, and publishes them as views (kernel_view.h).
//
// Theory of operation. One socket hears of changes, another asks for what changed, whole: a change is a hint
// only, so none can be misunderstood, and losing some (a full socket buffer) costs no more than asking for
// everything. Hints are gathered, the longer the longer the last answer took, so that a routing daemon at
// work cannot keep us busy.
//
// Workers read the view in force through a KernelReader each (a hazard pointer): two loads and a store, no
// lock. A replaced view is freed once no reader is in it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "dataplane/base/event_loop.h"
#include "dataplane/io/netlink/kernel_dump.h"
#include "dataplane/io/netlink/neighbor_requests.h"

namespace sluice::netlink {

class KernelMirror;

// One per thread that looks up. Must not outlive the mirror.
class KernelReader {
public:
    explicit KernelReader(const KernelMirror& mirror) : mirror_(mirror) {}

    RouteAnswer resolve(const struct address& destination, std::uint32_t hash);

private:
    friend class KernelMirror;
    const KernelMirror& mirror_;
    std::atomic<const KernelView*> in_use_{nullptr};
};

struct MirrorCounters {
    std::uint64_t changes = 0;            // views published
    std::uint64_t overruns = 0;           // hints lost by the kernel, everything asked anew
    std::uint64_t neighbor_requests = 0;  // resolutions asked of the kernel
    std::uint64_t neighbor_failures = 0;  // of these, refused by the kernel
    std::uint64_t neighbor_requests_lost = 0;
};

class KernelMirror {
public:
    // `changed` is called on the loop's thread after a view that differs was published, with the one before
    // it.
    using Changed = std::function<void(const KernelView& before, const KernelView& now)>;

    // Reads everything once, then follows on `loop`, which must outlive the mirror. All but make_reader() and
    // requests() is for the loop's thread.
    static Result<std::unique_ptr<KernelMirror>> create(EventLoop& loop, Changed changed);
    ~KernelMirror();
    KernelMirror(const KernelMirror&) = delete;
    KernelMirror& operator=(const KernelMirror&) = delete;

    const KernelView& view() const { return *views_.back(); }
    // For who has changed something himself and goes on by it: asks for everything, without waiting for
    // hints, and does not call `changed`.
    Status ask_now();
    const MirrorCounters& counters();

    // Asks the kernel to resolve, or to confirm, a neighbour. At most once a second for the same one.
    void solicit(std::uint32_t ifindex, const struct address& address);

    // The reader lives as long as the mirror.
    KernelReader& make_reader();
    NeighborRequests& requests() { return *requests_; }

private:
    friend class KernelReader;
    enum Kind : std::uint32_t { links = 1, addresses = 2, routes = 4, neighbors = 8, everything = 15 };
    struct Asked {
        NeighborRequest request;
        std::chrono::steady_clock::time_point at;
    };

    KernelMirror(EventLoop& loop, Changed changed) : loop_(loop), changed_(std::move(changed)) {}

    Status open_sockets();
    Status start();
    static Status refresh(nl_sock* socket, std::uint32_t kinds, KernelData& data);
    void hear();
    void schedule();
    void update();
    void publish(std::unique_ptr<const KernelView> view);
    bool asked_lately(std::uint32_t ifindex, const struct address& address);

    EventLoop& loop_;
    Changed changed_;
    Socket questions_;
    Socket hints_;
    std::unique_ptr<NeighborRequests> requests_;
    std::vector<EventLoop::Id> watches_;
    EventLoop::Id timer_ = 0;  // 0: none
    std::uint32_t changed_kinds_ = 0;
    std::chrono::nanoseconds last_duration_{0};
    std::chrono::steady_clock::time_point last_update_{};
    MirrorCounters counters_;
    std::vector<Asked> asked_;

    std::atomic<const KernelView*> current_{nullptr};
    std::vector<std::unique_ptr<const KernelView>> views_;  // the last is in force, the others may be in use
    std::mutex readers_mutex_;
    std::vector<std::unique_ptr<KernelReader>> readers_;
};

}  // namespace sluice::netlink
