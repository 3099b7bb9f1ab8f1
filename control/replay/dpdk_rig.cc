// SPDX-License-Identifier: Apache-2.0
#include "control/replay/dpdk_rig.h"

#include <algorithm>

#include "dataplane/io/dpdk/dpdk_port.h"
#include "dataplane/io/dpdk/eal.h"
#include "dataplane/io/dpdk/ring_device.h"
#include "dataplane/worker/worker.h"

namespace sluice::replay {

namespace {

constexpr u16 longest_packet = 9000;
constexpr u32 segment = 512;  // of what arrives
constexpr u32 ring_length = 64;
constexpr u16 descriptors = 64;

}  // namespace

struct DpdkRig::State {
    std::vector<std::unique_ptr<RingDevice>> devices;  // they outlive ports and worker
    std::vector<std::unique_ptr<DpdkPort>> ports;
    std::unique_ptr<Worker<DpdkPort>> worker;
    std::vector<u8> left;

    RingDevice* device(u32 ifindex) {
        const auto at = std::find_if(devices.begin(), devices.end(), [&](const auto& each) {
            return each->device().options().ifindex == ifindex;
        });
        return at == devices.end() ? nullptr : at->get();
    }
    DpdkPort* port(u32 ifindex) {
        const auto at = std::find_if(ports.begin(), ports.end(),
                                     [&](const auto& each) { return each->ifindex() == ifindex; });
        return at == ports.end() ? nullptr : at->get();
    }
};

DpdkRig::DpdkRig(std::unique_ptr<State> state) : state_(std::move(state)) {}
DpdkRig::~DpdkRig() = default;

Result<std::unique_ptr<DpdkRig>> DpdkRig::create(OfflineNode& node) {
    const OfflinePorts& ports = node.ports();
    std::vector<DpdkDeviceOptions> wanted;
    EalOptions eal;
    for (size_t number = 1; number < ports.ports.size(); ++number) {
        if (ports.ports[number].vlan != 0) continue;
        DpdkDeviceOptions options;
        options.interface = ports.names[number];
        options.device = fmt::format("replay{}", number);
        options.ifindex = ports.ports[number].ifindex;
        options.rx_descriptors = descriptors;
        options.mtu = longest_packet;
        eal.memory += DpdkDevice::memory(options);
        wanted.push_back(std::move(options));
    }
    if (Status started = Eal::start(eal); !started) return started.error();
    auto state = std::make_unique<State>();
    // Counters of verdicts that the worker takes back: its own business here.
    state->worker = std::make_unique<Worker<DpdkPort>>(node.engine(), node.node(),
                                                       node.tables().port_counters, WorkerOptions{});
    for (const DpdkDeviceOptions& options : wanted) {
        auto device = RingDevice::create(options, ring_length);
        if (!device) return device.error();
        state->devices.push_back(*std::move(device));
        state->ports.push_back(
            std::make_unique<DpdkPort>(state->devices.back()->device(), std::vector<u16>{0}, u16{0}));
        state->worker->add_port(*state->ports.back(), static_cast<u8>(options.ifindex), nullptr);
    }
    return std::unique_ptr<DpdkRig>(new DpdkRig(std::move(state)));
}

Result<Frame> DpdkRig::receive(u32 ifindex, std::span<const u8> bytes) {
    RingDevice* const device = state_->device(ifindex);
    DpdkPort* const port = state_->port(ifindex);
    Frame frame;
    if (device == nullptr || port == nullptr)
        return make_error("device {}: expected one of the configuration", ifindex);
    if (!device->offer(bytes, 0, segment) || port->receive({&frame, 1}) != 1)
        return make_error("a frame of {} bytes: expected one that a DPDK port takes, of 14 to {}",
                          bytes.size(), device->device().buffer_size());
    return frame;
}

void DpdkRig::finish(Frame& frame, const Decision& decision,
                     const std::function<void(std::span<const u8>)>& left) {
    state_->worker->finish(frame, decision);
    for (size_t i = 0; i < state_->ports.size(); ++i) {
        state_->ports[i]->flush();
        while (state_->devices[i]->take(state_->left)) left(state_->left);
    }
}

}  // namespace sluice::replay
