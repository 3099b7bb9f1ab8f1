// SPDX-License-Identifier: Apache-2.0
//
// One XDP socket as a worker's port (dataplane/io/port.h): a queue of a device.
#pragma once

#include <xdp/xsk.h>

#include <memory>
#include <span>
#include <string>

#include "dataplane/base/counter.h"
#include "dataplane/base/result.h"
#include "dataplane/io/af_xdp/umem.h"
#include "dataplane/io/af_xdp/xsk_options.h"
#include "dataplane/io/port.h"

namespace sluice {

class XskPort {
public:
    using Statistics = XskStatistics;

    ~XskPort();
    XskPort(const XskPort&) = delete;
    XskPort& operator=(const XskPort&) = delete;

    u32 receive(std::span<Frame> frames);
    bool send(const Frame& frame);
    void flush();
    void release(const Frame& frame) { umem_.give(frame.tag); }
    // A free buffer, with head room before frame.data, as if received. False when there is none.
    bool allocate(Frame& frame);

    int descriptor() const { return fd_; }
    u32 ifindex() const { return where_.ifindex; }
    const XskQueue& where() const { return where_; }
    XskStatistics statistics() const;

    // Before an idle worker sleeps: buffers filled up, the kernel woken if it wants to be.
    void prepare_to_sleep();

    // See FrameCensus; `in_*` of this socket only. Any thread.
    void add_to(FrameCensus& census) const;
    // Addresses in its rings, while nothing runs.
    void collect(std::vector<u64>& addresses) const;

private:
    friend class XskSet;

    XskPort(Umem& umem, XskQueue where, const XskOptions& options)
        : umem_(umem), where_(std::move(where)), options_(options) {}

    Status open(xsk_umem* handle, bool zero_copy, xsk_ring_prod* fill, xsk_ring_cons* completion);
    Status set_busy_poll();
    void refill();
    void reclaim();
    void kick();

    Umem& umem_;
    XskQueue where_;
    XskOptions options_;
    xsk_socket* socket_ = nullptr;
    int fd_ = -1;
    // Zeroed: libxdp 1.3.1 continues from what it finds in them.
    xsk_ring_cons receive_ring_{};
    xsk_ring_prod transmit_ring_{};
    xsk_ring_prod fill_ring_{};
    xsk_ring_cons completion_ring_{};
    Counter reserved_;     // written to the transmit ring and not submitted
    Counter outstanding_;  // frames given to the transmit ring and not completed
    Counter filled_;       // frames given to the fill ring and not received
    Counter received_;
    Counter sent_;
    Counter transmit_full_;
};

static_assert(Port<XskPort>);

}  // namespace sluice
