// SPDX-License-Identifier: Apache-2.0
//
// The program runs in the kernel, over a reuseport group of real sockets; "nodes" are what the test says.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "dataplane/base/fd.h"
#include "dataplane/proxy/accept_balance.h"

namespace sluice::proxy {
namespace {

constexpr u32 connections = 200;

// As many listeners on one port as there are loops.
class Group {
public:
    explicit Group(size_t loops) {
        at_.sin_family = AF_INET;
        at_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        for (size_t i = 0; i < loops; ++i) {
            UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
            const int on = 1;
            setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
            socklen_t length = sizeof at_;
            EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&at_), length), 0);
            EXPECT_EQ(listen(fd.get(), 1024), 0);
            getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at_), &length);
            listeners_.push_back(std::move(fd));
        }
    }
    int first() const { return listeners_.front().get(); }

    // How many of `connections`, made on `cpu`, each listener gets. Over the loopback device a SYN is
    // received on the CPU that sends it.
    std::vector<u32> counts_from(u32 cpu) {
        cpu_set_t before;
        cpu_set_t only;
        sched_getaffinity(0, sizeof before, &before);
        CPU_ZERO(&only);
        CPU_SET(cpu, &only);
        EXPECT_EQ(sched_setaffinity(0, sizeof only, &only), 0);
        for (u32 i = 0; i < connections; ++i) {
            const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&at_), sizeof at_), 0);
        }
        sched_setaffinity(0, sizeof before, &before);
        std::vector<u32> counts;
        for (const UniqueFd& listener : listeners_) {
            counts.push_back(0);
            while (UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))) ++counts.back();
        }
        return counts;
    }

private:
    sockaddr_in at_{};
    std::vector<UniqueFd> listeners_;
};

std::vector<u32> two_cpus() {
    cpu_set_t set;
    std::vector<u32> cpus;
    sched_getaffinity(0, sizeof set, &set);
    for (u32 cpu = 0; cpu < CPU_SETSIZE && cpus.size() < 2; ++cpu) {
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
    return cpus;
}

TEST(ProxyBalance, AConnectionGoesToALoopOnTheNodeOfTheCpuThatReceivesIt) {
    const std::vector<u32> cpus = two_cpus();
    if (cpus.size() < 2) GTEST_SKIP() << "one CPU";
    Group group(5);
    // Loops 0, 2 and 4 on node 7, the others on node 9.
    const std::vector<sock_filter> program =
        balance_program({{.id = cpus[0], .node = 7}, {.id = cpus[1], .node = 9}}, {7, 9, 7, 9, 7});
    ASSERT_TRUE(balance_accepts(group.first(), program));
    const std::vector<u32> near = group.counts_from(cpus[0]);
    EXPECT_EQ(near[0] + near[2] + near[4], connections);
    for (const u32 loop : {0, 2, 4}) EXPECT_GT(near[static_cast<size_t>(loop)], connections / 10);
    const std::vector<u32> far = group.counts_from(cpus[1]);
    EXPECT_EQ(far[1] + far[3], connections);
    EXPECT_GT(std::min(far[1], far[3]), connections / 5);
}

TEST(ProxyBalance, ANodeWithoutLoopsIsLeftToTheKernel) {
    const std::vector<u32> cpus = two_cpus();
    if (cpus.size() < 2) GTEST_SKIP() << "one CPU";
    Group group(2);
    const auto program = balance_program({{.id = cpus[0], .node = 0}, {.id = cpus[1], .node = 1}}, {0, 0});
    ASSERT_TRUE(balance_accepts(group.first(), program));
    const std::vector<u32> counts = group.counts_from(cpus[1]);
    EXPECT_EQ(counts[0] + counts[1], connections);
    EXPECT_GT(std::min(counts[0], counts[1]), 0U);
}

TEST(ProxyBalance, ManyInterleavedCpusMakeAProgramThatTheKernelTakes) {
    std::vector<Cpu> cpus;
    std::vector<u32> nodes;
    for (u32 id = 0; id < 512; ++id) {
        cpus.push_back({.id = id, .node = id % 4});
        nodes.push_back(id % 4);
    }
    Group group(1);
    EXPECT_TRUE(balance_accepts(group.first(), balance_program(cpus, nodes)));
}

}  // namespace
}  // namespace sluice::proxy
