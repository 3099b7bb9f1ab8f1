// SPDX-License-Identifier: Apache-2.0
//
// Replay through DPDK: every device of the configuration is a real DPDK port over rings in this process, and
// a worker's egress side sends what the engine finishes. Frames arrive in several segments where they are
// long.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "control/replay/offline_node.h"

namespace sluice::replay {

class DpdkRig {
public:
    // Needs no root and no huge pages. Fails in a build without DPDK.
    static Result<std::unique_ptr<DpdkRig>> create(OfflineNode& node);
    ~DpdkRig();

    // The frame as the port of device `ifindex` receives it; `frame.tag` is the caller's.
    Result<Frame> receive(u32 ifindex, std::span<const u8> bytes);

    // Lets the worker dispose of a frame that the engine has finished, and gives `left` what leaves by any
    // port because of it.
    void finish(Frame& frame, const Decision& decision, const std::function<void(std::span<const u8>)>& left);

private:
    struct State;
    explicit DpdkRig(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace sluice::replay
