// SPDX-License-Identifier: Apache-2.0
// DpdkRig of a build without libdpdk.
#include "control/replay/dpdk_rig.h"

namespace sluice::replay {

struct DpdkRig::State {};

DpdkRig::DpdkRig(std::unique_ptr<State> state) : state_(std::move(state)) {}
DpdkRig::~DpdkRig() = default;

Result<std::unique_ptr<DpdkRig>> DpdkRig::create(OfflineNode&) {
    return make_error("--tier dpdk: this build is without DPDK (libdpdk was not found, or -Ddpdk=disabled)");
}

Result<Frame> DpdkRig::receive(u32, std::span<const u8>) { return make_error("no DPDK"); }
void DpdkRig::finish(Frame&, const Decision&, const std::function<void(std::span<const u8>)>&) {}

}  // namespace sluice::replay
