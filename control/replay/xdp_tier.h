// SPDX-License-Identifier: Apache-2.0
//
// The loaded XDP program, run packet by packet by BPF_PROG_TEST_RUN, in a network namespace and on a BPF file
// system of this process' own: nothing outside sees it, nothing is left behind.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "control/replay/offline_node.h"
#include "dataplane/io/xdp/xdp_dataplane.h"

namespace sluice {
class SkeletonHandle;
}

namespace sluice::replay {

class XdpTier {
public:
    // Moves this process into its own network and mount namespace, which takes root, and gives each device of
    // `ports` a stand-in there, whose index becomes the ports' own. The maps are empty, ports and punts set.
    static Result<std::unique_ptr<XdpTier>> create(const config::Config& config, OfflinePorts& ports);
    ~XdpTier();

    XdpDataplane& dataplane() { return *dataplane_; }

    // Runs the program on the frame at `now_ns`. The decision, with the frame as it leaves; nothing when the
    // program hands the frame over or cannot be run on one of its length: the frame is as it was then. Errors
    // are the kernel's.
    Result<std::optional<Decision>> run(Frame& frame, u64 now_ns);

private:
    XdpTier() = default;

    Status load();
    Result<u32> verdict_word(u32 action, u32 port);
    Result<std::vector<u64>> drops(u32 port) const;

    u32 cpu_ = 0;
    u32 cpus_ = 0;
    std::unique_ptr<XdpDataplane> dataplane_;
    std::unique_ptr<SkeletonHandle> program_;
    std::vector<std::vector<u64>> drops_;  // by port, by reason: as last seen
    std::vector<u8> output_;
};

}  // namespace sluice::replay
