// SPDX-License-Identifier: Apache-2.0
//
// What the live tests share: a client, a server, and a node with both tiers between them.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <future>

#include "control/compile/compiler.h"
#include "control/config/loader.h"
#include "dataplane/io/af_xdp/xsk_set.h"
#include "dataplane/io/xdp/trace_reader.h"
#include "dataplane/io/xdp/xdp_capture.h"
#include "dataplane/io/xdp/xdp_dataplane.h"
#include "dataplane/worker/table_memory.h"
#include "dataplane/worker/worker.h"
#include "tests/live/network.h"

namespace sluice::live {

inline constexpr const char* state_directory = "/sys/fs/bpf/sl-live";
inline constexpr u32 queues = 4;

inline std::string configuration(const std::string& tier) {
    return R"(
version: 1
interfaces: [{ name: n0 }, { name: n1 }]
services:
  - { name: dns, vip: 192.0.2.10, protocol: udp, ports: "53", mode: nat, tier: )" +
           tier + R"(, backends: [{ address: 10.99.1.2, port: 5353 }] }
)";
}

inline sockaddr_in endpoint(const char* address, u16 port) {
    sockaddr_in result{};
    result.sin_family = AF_INET;
    result.sin_port = htons(port);
    inet_pton(AF_INET, address, &result.sin_addr);
    return result;
}

inline UniqueFd udp_socket(const char* address, u16 port, int patience_s) {
    UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in own = endpoint(address, port);
    const timeval patience{.tv_sec = patience_s, .tv_usec = 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) fd.reset();
    return fd;
}

// The server: answers each of `count` datagrams with itself, or gives up after two seconds of silence. Ready
// on return.
inline std::thread echo_server(int count) {
    std::promise<void> ready;
    std::future<void> is_ready = ready.get_future();
    std::thread server =
        Network::in("sl-live-s", [count, ready = std::make_shared<std::promise<void>>(std::move(ready))] {
            const UniqueFd fd = udp_socket("10.99.1.2", 5353, 2);
            ready->set_value();
            for (int i = 0; i < count; ++i) {
                char data[256];
                sockaddr_in from{};
                socklen_t length = sizeof from;
                const ssize_t size =
                    recvfrom(fd.get(), data, sizeof data, 0, reinterpret_cast<sockaddr*>(&from), &length);
                if (size < 0) return;
                sendto(fd.get(), data, static_cast<size_t>(size), 0, reinterpret_cast<sockaddr*>(&from),
                       length);
            }
        });
    is_ready.wait();
    return server;
}

// The client: asks the VIP `count` times, each time from another port; how many answers came from the VIP.
inline int ask(int count) {
    int answers = 0;
    Network::in("sl-live-c", [&answers, count] {
        const sockaddr_in vip = endpoint("192.0.2.10", 53);
        for (int i = 0; i < count; ++i) {
            const UniqueFd fd = udp_socket("10.99.0.2", 0, 1);
            char data[16] = "sluice";
            sendto(fd.get(), data, 6, 0, reinterpret_cast<const sockaddr*>(&vip), sizeof vip);
            sockaddr_in from{};
            socklen_t length = sizeof from;
            const ssize_t size =
                recvfrom(fd.get(), data, sizeof data, 0, reinterpret_cast<sockaddr*>(&from), &length);
            if (size == 6 && from.sin_addr.s_addr == vip.sin_addr.s_addr && from.sin_port == vip.sin_port)
                ++answers;
        }
    }).join();
    return answers;
}

// `count` datagrams from 64 ports as fast as the client can.
inline void flood(u64 count) {
    Network::in("sl-live-c", [count] {
        constexpr u32 batch = 64;
        const sockaddr_in vip = endpoint("192.0.2.10", 53);
        std::vector<UniqueFd> sockets;
        for (u16 i = 0; i < 64; ++i) {
            sockets.push_back(udp_socket("10.99.0.2", static_cast<u16>(20000 + i), 1));
            connect(sockets.back().get(), reinterpret_cast<const sockaddr*>(&vip), sizeof vip);
        }
        char data[18] = "sluice";
        iovec piece{data, sizeof data};
        std::vector<mmsghdr> messages(batch);
        for (mmsghdr& message : messages) {
            message.msg_hdr.msg_iov = &piece;
            message.msg_hdr.msg_iovlen = 1;
        }
        for (u64 sent = 0, turn = 0; sent < count; ++turn) {
            const auto wanted = static_cast<unsigned>(std::min<u64>(batch, count - sent));
            const int done = sendmmsg(sockets[turn % 64].get(), messages.data(), wanted, 0);
            if (done > 0) sent += static_cast<u64>(done);
        }
    }).join();
}

// The way to both sides, as permanent neighbours.
struct TwoWays : Router {
    u32 route(const pipeline_context&, const address& to, next_hop& hop) override {
        if (!address_is_ipv4(&to)) return drop(REASON_NO_ROUTE);
        const bool server = ntohl(address_to_ipv4(&to).raw) >> 8 == 0x0a6301;
        std::memcpy(hop.mac, server ? mac_s1 : mac_c0, 6);
        hop.port = server ? 2 : 1;
        return 0;
    }
};

class LiveIo : public testing::Test {
protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces and XDP";
        network_ = std::make_unique<Network>();
        ASSERT_TRUE(network_->ok()) << "cannot set up namespaces and veths";
        if (auto ready = ensure_bpffs(state_directory); !ready) FAIL() << ready.error().message;
        if (auto clean = remove_pins(state_directory, [](const auto&) { return true; }); !clean)
            FAIL() << clean.error().message;
        open();
    }
    void TearDown() override {
        worker_.reset();
        sockets_.reset();
        if (dataplane_) {
            const Status gone = dataplane_->detach_all();
            EXPECT_TRUE(gone) << gone.error().message;
        }
        dataplane_.reset();
        network_.reset();
    }

    void open() {
        dataplane_.reset();
        XdpOptions options;
        options.bpffs = state_directory;
        options.sizes = MapSizes::rounded(65536, 1024, 64, 64);
        auto opened = XdpDataplane::open(options);
        ASSERT_TRUE(opened) << opened.error().message;
        dataplane_ = *std::move(opened);
    }

    void publish(const std::string& tier) {
        auto config = config::load_text(configuration(tier), "live.yaml");
        ASSERT_TRUE(config) << config.error().message;
        compile::Environment environment;
        environment.generation = 1;
        environment.ports = {{"n0", 1, 0, {}}, {"n1", 2, 0, {}}};
        auto snapshot = compile::compile(*config, environment, nullptr);
        ASSERT_TRUE(snapshot) << snapshot.error().message;
        node_state& node = dataplane_->node();
        std::copy(snapshot->timeouts.begin(), snapshot->timeouts.end(), node.timeout);
        node.punts = ~0u;
        for (const auto& [number, port] : {std::pair<u8, node_port>{1, Network::port("n0", mac_n0, 1)},
                                           std::pair<u8, node_port>{2, Network::port("n1", mac_n1, 2)}}) {
            const Status set = dataplane_->set_port(number, port);
            ASSERT_TRUE(set) << set.error().message;
        }
        auto image = dataplane_->publish(snapshot->lines, 1, snapshot->interests.destination,
                                         snapshot->interests.source);
        ASSERT_TRUE(image) << image.error().message;
        image_ = *image;
    }

    void attach() {
        for (const char* device : {"n0", "n1"}) {
            auto attached = dataplane_->attacher().attach(device, if_nametoindex(device));
            ASSERT_TRUE(attached) << attached.error().message;
            EXPECT_EQ(attached->mode, XdpMode::native) << attached->native_refusal;
            if (!attached->dispatcher)
                std::printf("%s: no dispatcher: %s\n", device, attached->dispatcher_refusal.c_str());
        }
    }

    void start_worker() {
        std::vector<XskQueue> wanted;
        for (u32 queue = 0; queue < queues; ++queue) {
            wanted.push_back({"n0", if_nametoindex("n0"), 1, queue});
            wanted.push_back({"n1", if_nametoindex("n1"), 2, queue});
        }
        auto opened = XskSet::open(wanted, {.frames = 32768}, {});
        ASSERT_TRUE(opened) << opened.error().message;
        sockets_ = *std::move(opened);
        EXPECT_FALSE(sockets_->zero_copy());
        EXPECT_NE(sockets_->zero_copy_refusal(), "");
        auto counters = WorkerCounters::create(64, 64);
        ASSERT_TRUE(counters);
        counters_.emplace(*std::move(counters));
        struct tables view {};
        dataplane_->maps().fill(view);
        counters_->fill(view);
        view.image = image_->data();
        view.image_lines = image_->lines;
        engine_ = std::make_unique<Engine>(view, router_, EngineOptions{});
        worker_ = std::make_unique<Worker<XskPort>>(*engine_, dataplane_->node(), view.port_counters,
                                                    WorkerOptions{});
        for (const auto& port : sockets_->ports()) {
            worker_->add_port(*port, port->where().device, nullptr);
            const Status set =
                dataplane_->set_socket(port->where().device, port->where().queue, port->descriptor());
            ASSERT_TRUE(set) << set.error().message;
        }
        const Status started = worker_->start();
        ASSERT_TRUE(started) << started.error().message;
    }

    port_counters xdp_counters(u32 port) {
        auto counters = read_port_counters(dataplane_->maps());
        return counters ? (*counters)[port] : port_counters{};
    }

    // What the program did with each port's packets, for a failure's reader.
    std::string story() {
        std::string text;
        for (u32 port = 1; port <= 2; ++port) {
            const port_counters counters = xdp_counters(port);
            text += fmt::format("port {}: received {}", port, counters.received_packets);
            for (u32 i = 0; i < VERDICT_ROWS; ++i)
                if (counters.packets[i] != 0) text += fmt::format(", verdict {}: {}", i, counters.packets[i]);
            for (u32 i = 0; i < REASON_ROWS; ++i)
                if (counters.drops[i] != 0) text += fmt::format(", reason {}: {}", i, counters.drops[i]);
            for (u32 i = 0; i < PUNT_ROWS; ++i)
                if (counters.punts[i] != 0) text += fmt::format(", punt {}: {}", i, counters.punts[i]);
            text += "\n";
        }
        return text;
    }

    std::unique_ptr<Network> network_;
    std::unique_ptr<XdpDataplane> dataplane_;
    std::shared_ptr<const Image> image_;
    TwoWays router_;
    std::optional<WorkerCounters> counters_;
    std::unique_ptr<XskSet> sockets_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Worker<XskPort>> worker_;
};

}  // namespace sluice::live
