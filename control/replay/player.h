// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "control/replay/capture.h"
#include "control/replay/dpdk_rig.h"
#include "control/replay/offline_node.h"
#include "control/replay/verdict_log.h"
#include "control/replay/xdp_tier.h"

namespace sluice::replay {

// Plays packets one by one: each is run at its time in the capture, and what becomes of it is written down.
class Player {
public:
    // Either or none: without them the engine decides alone.
    struct By {
        XdpTier* xdp = nullptr;   // is asked first
        DpdkRig* dpdk = nullptr;  // frames come and go by its ports
    };

    // `out` and `log` may be null.
    Player(OfflineNode& node, u32 ifindex, const By& by, CaptureWriter* out, VerdictLog* log)
        : node_(node), ifindex_(ifindex), xdp_(by.xdp), dpdk_(by.dpdk), out_(out), log_(log) {}

    Status play(const CapturedPacket& packet);
    // What still waits will wait no longer.
    void end();

    // For the engine.
    void finish(Frame& frame, const Decision& decision) {
        settle(frame, decision, dpdk_ != nullptr ? "dpdk" : "native");
    }

private:
    struct Buffer {
        std::vector<u8> bytes;
        u64 number = 0;
        u64 time_ns = 0;
    };

    void settle(Frame& frame, const Decision& decision, const char* tier);
    void write_pieces(Frame& frame, u32 mtu, u64 time_ns);
    Result<Frame> load(const CapturedPacket& packet);

    OfflineNode& node_;
    u32 ifindex_;
    XdpTier* xdp_;
    DpdkRig* dpdk_;
    CaptureWriter* out_;
    VerdictLog* log_;
    u64 number_ = 0;
    u64 now_ns_ = 0;
    u32 identification_ = 0;                        // of the last packet cut into fragments
    std::vector<std::unique_ptr<Buffer>> buffers_;  // Frame::tag is an index
    std::vector<u32> free_;
};

}  // namespace sluice::replay
