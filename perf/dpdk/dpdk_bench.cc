// SPDX-License-Identifier: Apache-2.0
//
// A worker on one DPDK port, all in this process: receive, the whole engine (nat, a policy of 10 rules),
// send. dpdk_bench.py runs it beside testpmd on the same kind of device. Prints one JSON object.
//
//     dpdk-bench --capture FILE             writes frames of 1,024 flows for net_pcap
//     dpdk-bench --device ring              1,000 flows over rings; filling them is not timed
//     dpdk-bench --device net_pcap0,...     any virtual device that receives by itself
#include <CLI/CLI.hpp>

#include "control/config/loader.h"
#include "control/replay/capture.h"
#include "control/replay/offline_node.h"
#include "dataplane/io/dpdk/dpdk_port.h"
#include "dataplane/io/dpdk/eal.h"
#include "dataplane/io/dpdk/ring_device.h"
#include "dataplane/worker/worker.h"
#include "perf/common/measure.h"

namespace sluice::perf {
namespace {

constexpr u32 ring_length = 1024;
constexpr u32 flows = 1000;
constexpr u32 capture_flows = 1024;
constexpr u64 warm_up_ns = 300'000'000;

std::string config_text() {
    std::string text =
        "version: 1\n"
        "interfaces: [{ name: port0, mac: \"02:00:00:00:00:01\", addresses: [192.0.2.254/24] }]\n"
        "policy:\n  default: allow\n  rules:\n";
    for (int i = 1; i < 9; i++)
        text += fmt::format(
            "    - {{ name: r{0}, from: [10.1.{0}.0/24], protocol: tcp, ports: \"{1}\", action: drop }}\n", i,
            1000 + i);
    return text +
           "    - { name: no-bogons, from: [198.18.0.0/15, 240.0.0.0/4], action: drop }\n"
           "    - { name: web, to: [192.0.2.0/24], protocol: tcp, ports: \"80\", action: allow }\n"
           "services:\n  - { name: web, vip: 192.0.2.10, protocol: tcp, ports: \"80\", mode: nat, backends: "
           "[\n"
           "      { address: 10.0.1.1, port: 8080 }, { address: 10.0.1.2, port: 8080 }, { address: 10.0.1.3, "
           "port: 8080 }] }\n"
           "routes: [{ prefix: 0.0.0.0/0, via: 192.0.2.1, mac: \"02:00:00:00:00:02\", interface: port0 }]\n"
           "tables: { flows: 65536 }\n";
}

// 64 bytes, TCP with ACK, from client number `flow` to the VIP.
std::vector<u8> frame_of(u32 flow) {
    std::vector<u8> frame = {2,    0,    0,    0,  0,    1,    2,    0,  0,  0, 0, 9, 8, 0,  // Ethernet
                             0x45, 0,    0,    50, 0,    1,    0x40, 0,  64, 6, 0, 0,        // IPv4
                             11,   0,    0,    0,  192,  0,    2,    10,                     //
                             0x10, 0,    0,    80, 0,    0,    0,    1,  0,  0, 0, 1,        // TCP
                             0x50, 0x10, 0x20, 0,  0x12, 0x34, 0,    0};
    frame[28] = static_cast<u8>(flow >> 8);
    frame[29] = static_cast<u8>(flow);
    frame.resize(64);
    u32 sum = 0;
    for (size_t at = 14; at < 34; at += 2) sum += static_cast<u32>(frame[at] << 8 | frame[at + 1]);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    frame[24] = static_cast<u8>(~sum >> 8);
    frame[25] = static_cast<u8>(~sum);
    return frame;
}

Status write_capture(const std::string& path) {
    auto writer = replay::CaptureWriter::create(path, true);
    if (!writer) return writer.error();
    for (u32 flow = 0; flow < capture_flows; ++flow) (*writer)->write(frame_of(flow), flow);
    return (*writer)->close();
}

struct Rig {
    std::unique_ptr<replay::OfflineNode> node;
    std::unique_ptr<RingDevice> ring;
    std::unique_ptr<DpdkDevice> device;
    std::unique_ptr<DpdkPort> port;
    std::unique_ptr<Worker<DpdkPort>> worker;
};

Status set_up(Rig& rig, const std::string& device) {
    auto config = config::load_text(config_text(), "benchmark");
    if (!config) return config.error();
    auto node = replay::OfflineNode::create(*config);
    if (!node) return node.error();
    rig.node = std::move(*node);
    DpdkDeviceOptions options;
    options.interface = "port0";
    options.device = device;
    options.ifindex = 1;
    if (Status status = Eal::start({DpdkDevice::memory(options) * 2 + (u64{128} << 20)}); !status)
        return status;
    if (device == "ring") {
        auto ring = RingDevice::create(options, ring_length * 2);
        if (!ring) return ring.error();
        rig.ring = *std::move(ring);
    } else {
        auto opened = DpdkDevice::open(options);
        if (!opened) return opened.error();
        rig.device = *std::move(opened);
    }
    Eal::register_thread();
    DpdkDevice& used = rig.ring ? rig.ring->device() : *rig.device;
    rig.port = std::make_unique<DpdkPort>(used, std::vector<u16>{0}, u16{0});
    rig.worker = std::make_unique<Worker<DpdkPort>>(rig.node->engine(), rig.node->node(),
                                                    rig.node->tables().port_counters, WorkerOptions{});
    rig.worker->add_port(*rig.port, 1, nullptr);
    return {};
}

// Frames and CPU ns of one go: what lies in the ring, or 1,000 rounds.
std::pair<u64, u64> one_go(Rig& rig, u32& next_flow) {
    constexpr int rounds = 1000;
    u64 frames = 0;
    if (rig.ring) {
        for (u32 i = 0; i < ring_length - 1; ++i, next_flow = (next_flow + 1) % flows)
            rig.ring->offer(frame_of(next_flow));
    }
    const u64 begin = thread_ns();
    if (rig.ring) {
        while (const u32 count = rig.worker->round(monotonic_ns())) frames += count;
    } else {
        for (int i = 0; i < rounds; ++i) frames += rig.worker->round(monotonic_ns());
    }
    const u64 took = thread_ns() - begin;
    std::vector<u8> gone;
    while (rig.ring && rig.ring->take(gone)) {
    }
    return {frames, took};
}

Status run(const std::string& device, double seconds) {
    Rig rig;
    if (Status status = set_up(rig, device); !status) return status;
    u32 next_flow = 0;
    u64 frames = 0;
    u64 took = 0;
    const u64 start = monotonic_ns();
    const auto limit = static_cast<u64>(seconds * 1e9);
    u64 passed = 0;
    while (passed < warm_up_ns + limit) {
        const auto [some, ns] = one_go(rig, next_flow);
        passed = monotonic_ns() - start;
        if (passed < warm_up_ns) continue;
        frames += some;
        took += ns;
    }
    const port_counters& counters = rig.node->counters().ports()[1];
    const u64 forwarded = counters.packets[VERDICT_FORWARD];
    if (frames == 0 || forwarded < counters.received_packets * 99 / 100)
        return make_error("{} of {} packets were forwarded", forwarded, counters.received_packets);
    fmt::print("{{\"frames\": {}, \"ns\": {:.2f}, \"mpps\": {:.2f}}}\n", frames,
               static_cast<double>(took) / static_cast<double>(frames),
               static_cast<double>(frames) * 1e3 / static_cast<double>(took));
    return {};
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
    CLI::App app{"A worker on a DPDK port, without a network"};
    std::string capture;
    std::string device = "ring";
    double seconds = 1;
    app.add_option("--capture", capture, "write the capture for net_pcap to this file, and end");
    app.add_option("--device", device, "ring, or a virtual device with its arguments");
    app.add_option("--seconds", seconds, "how long to measure");
    CLI11_PARSE(app, argc, argv);
    const sluice::Status status =
        capture.empty() ? sluice::perf::run(device, seconds) : sluice::perf::write_capture(capture);
    if (status) return 0;
    fmt::print(stderr, "dpdk-bench: {}\n", status.error().message);
    return 1;
}
