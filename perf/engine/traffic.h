// SPDX-License-Identifier: Apache-2.0
//
// Frames in memory as a device leaves them: 2 KB apart, in order, headers freshly written before each pass.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "dataplane/base/mapping.h"
#include "dataplane/io/frame.h"

namespace sluice::perf {

struct TrafficPlan {
    u8 family = 4;
    u32 flows = 1;         // clients; each packet's is drawn at random
    bool fresh = false;    // instead, every packet comes from a client not seen before
    bool replies = false;  // IPv4: from the backend 10.0.1.1:8080 to the clients
    u8 tcp_flags = 0x10;   // ACK
};

// 64-byte IPv4 or 78-byte IPv6 frames of TCP, to 192.0.2.10:80 or [2001:db8::10]:80.
class Traffic {
public:
    static constexpr size_t frame_size = 2048;
    static constexpr size_t frame_count = 32768;  // 64 MB

    static Result<Traffic> create(const TrafficPlan& plan);

    // Writes the headers of all frames anew, by ordinary stores. With `first`: flows in order, from that one
    // on; else as the plan says.
    void stamp(std::optional<u64> first = std::nullopt);

    std::span<Frame> frames() { return frames_; }

private:
    u64 next_flow();
    void stamp_ipv4(u8* packet, u32 client, u16 port) const;
    void stamp_ipv6(u8* packet, u32 client, u16 port) const;

    TrafficPlan plan_;
    Mapping memory_;
    std::vector<u8> template_;
    u32 sum_ = 0;  // of the template's IPv4 header, which has neither checksum nor client
    std::vector<Frame> frames_;
    u64 random_ = 1;
    u64 fresh_ = 0;
};

}  // namespace sluice::perf
