// SPDX-License-Identifier: Apache-2.0
//
// A way out by a packet socket that only sends, at the cost of a copy, and of a system call per batch. It is
// the only one of workers on packet rings; others, whose frames leave by their own ports at hardware's pace,
// reach the rest of the node's interfaces by it.
#pragma once

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "dataplane/base/counter.h"
#include "dataplane/base/fd.h"
#include "dataplane/base/result.h"
#include "dataplane/io/frame.h"

namespace sluice {

class PacketEgress {
public:
    static constexpr u32 batch = 64;

    // `longest`: of a frame, in bytes. Frames leave past the interface's queueing discipline.
    static Result<std::unique_ptr<PacketEgress>> open(const std::string& interface, u32 ifindex, u32 longest);

    // Copies a frame; it leaves with the next flush(). False: `batch` wait already, or it is longer than
    // `longest`. One thread.
    bool send(const Frame& frame);
    bool full() const { return waiting_ == batch; }
    u32 waiting() const { return waiting_; }

    // `lost(n)` for the n-th frame since the last flush that the kernel did not take.
    void flush(const std::function<void(u32)>& lost);

    u32 ifindex() const { return ifindex_; }

private:
    PacketEgress(UniqueFd socket, u32 ifindex, u32 longest);

    UniqueFd socket_;
    u32 ifindex_;
    u32 longest_;
    std::unique_ptr<u8[]> room_;
    std::array<iovec, batch> parts_{};
    std::array<mmsghdr, batch> messages_{};
    sockaddr_ll to_{};
    u32 waiting_ = 0;
};

}  // namespace sluice
