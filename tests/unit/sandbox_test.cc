// SPDX-License-Identifier: Apache-2.0
//
// Each case confines a child process, since there is no way back.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

#include "control/sandbox/capabilities.h"
#include "control/sandbox/system_calls.h"

namespace sluice::sandbox {
namespace {

// What `work` returns in a process of its own; 255: it was ended by a signal.
int in_child(const std::function<int()>& work) {
    const pid_t child = fork();
    if (child == 0) _exit(work());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

std::string own_status(const std::string& key) {
    std::ifstream file("/proc/thread-self/status");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
    }
    return "";
}

bool contains(const std::vector<std::string>& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

class Sandbox : public testing::Test {
protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root, to have something to give up";
        if (!not_filterable().empty()) GTEST_SKIP() << not_filterable();
    }
};

TEST(Capabilities, FollowWhatTheConfigurationUses) {
    EXPECT_EQ(needed_capabilities({}), (std::vector<std::string>{"cap_net_admin", "cap_net_bind_service"}));
    EXPECT_TRUE(contains(needed_capabilities({.ebpf = true}), "cap_bpf"));
    EXPECT_FALSE(contains(needed_capabilities({.ebpf = true}), "cap_sys_admin"));
    EXPECT_FALSE(contains(needed_capabilities({.dpdk = true}), "cap_sys_admin"));
    EXPECT_TRUE(contains(needed_capabilities({.dpdk = true, .pci_devices = true}), "cap_sys_rawio"));
    EXPECT_TRUE(contains(needed_capabilities({.programs = true}), "cap_net_raw"));
}

TEST_F(Sandbox, WhatIsNotKeptIsGoneInThreadsToo) {
    EXPECT_EQ(in_child([] {
                  if (!keep_capabilities({"cap_net_admin"})) return 1;
                  std::vector<std::string> held;
                  std::string bounding;
                  std::thread([&] {
                      held = held_capabilities();
                      bounding = own_status("CapBnd");
                  }).join();
                  if (contains(held, "cap_sys_admin") || contains(held, "cap_dac_override")) return 2;
                  return bounding == own_status("CapEff") && own_status("NoNewPrivs") == "1" ? 0 : 3;
              }),
              0);
}

TEST_F(Sandbox, RefusedCallsFailAreCountedAndEndNothing) {
    EXPECT_EQ(in_child([] {
                  if (!keep_capabilities({"cap_sys_admin"}) || !filter_system_calls()) return 1;
                  if (own_status("Seccomp") != "2") return 2;
                  if (mount("none", "/", nullptr, MS_REC, nullptr) != -1 || errno != EPERM) return 3;
                  int in_thread = 0;
                  std::thread([&] { in_thread = unshare(CLONE_NEWNS); }).join();
                  if (in_thread != -1) return 4;
                  const auto refused = refused_system_calls();
                  return refused.at("mount") == 1 && refused.at("unshare") == 1 && refused.size() == 2 ? 0
                                                                                                       : 5;
              }),
              0);
}

TEST_F(Sandbox, NoProgramIsStartedAndNoProcess) {
    EXPECT_EQ(in_child([] {
                  if (!keep_capabilities({}) || !filter_system_calls()) return 1;
                  if (fork() != -1) return 2;
                  execl("/bin/true", "true", nullptr);
                  return errno == EPERM ? 0 : 3;
              }),
              0);
}

TEST_F(Sandbox, OnlyTheFamiliesInUseHaveSockets) {
    EXPECT_EQ(in_child([] {
                  if (!keep_capabilities({"cap_net_raw"}) || !filter_system_calls()) return 1;
                  if (socket(AF_INET, SOCK_DGRAM, 0) < 0 || socket(AF_NETLINK, SOCK_RAW, 0) < 0) return 2;
                  return socket(AF_ALG, SOCK_SEQPACKET, 0) == -1 && errno == EPERM ? 0 : 3;
              }),
              0);
}

}  // namespace
}  // namespace sluice::sandbox
