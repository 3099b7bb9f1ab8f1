// SPDX-License-Identifier: Apache-2.0
//
// A machine made of files: /sys and /proc as the placement reads them, in a directory that goes with it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "dataplane/placement/cpu_list.h"
#include "dataplane/placement/topology.h"

namespace sluice {

class FakeMachine {
public:
    FakeMachine() {
        static int count = 0;
        root_ =
            std::filesystem::path(testing::TempDir()) / fmt::format("sl-machine-{}-{}", getpid(), count++);
        std::filesystem::create_directories(root_);
        write("sys/devices/system/cpu/isolated", "");
    }
    ~FakeMachine() { std::filesystem::remove_all(root_); }
    FakeMachine(const FakeMachine&) = delete;
    FakeMachine& operator=(const FakeMachine&) = delete;

    KernelFiles files() const { return {root_ / "sys", root_ / "proc"}; }
    std::filesystem::path path(const std::string& name) const { return root_ / name; }

    FakeMachine& write(const std::string& name, const std::string& text) {
        std::filesystem::create_directories((root_ / name).parent_path());
        std::ofstream(root_ / name) << text << '\n';
        return *this;
    }
    std::string read(const std::string& name) const {
        std::ifstream file(root_ / name);
        std::string line;
        std::getline(file, line);
        return line;
    }

    FakeMachine& cpus(const std::string& online, const std::string& present = "") {
        write("sys/devices/system/cpu/online", online);
        write("sys/devices/system/cpu/present", present.empty() ? online : present);
        for (const u32 cpu : list_of(online)) siblings(fmt::to_string(cpu));
        return *this;
    }
    // CPUs that are one core.
    FakeMachine& siblings(const std::string& list) {
        for (const u32 cpu : list_of(list))
            write(fmt::format("sys/devices/system/cpu/cpu{}/topology/core_cpus_list", cpu), list);
        return *this;
    }
    FakeMachine& isolated(const std::string& list) { return write("sys/devices/system/cpu/isolated", list); }

    FakeMachine& nodes(const std::string& online, const std::string& with_memory) {
        write("sys/devices/system/node/online", online);
        return write("sys/devices/system/node/has_memory", with_memory);
    }
    FakeMachine& node(u32 id, const std::string& cpus, const std::string& distances) {
        const std::string directory = fmt::format("sys/devices/system/node/node{}/", id);
        write(directory + "cpulist", cpus);
        return write(directory + "distance", distances);
    }
    FakeMachine& allowed(const std::string& cpus, const std::string& mems) {
        return write("proc/self/status",
                     fmt::format("Name:\tsluiced\nCpus_allowed:\tff\nCpus_allowed_list:\t{}\n"
                                 "Mems_allowed_list:\t{}",
                                 cpus, mems));
    }
    FakeMachine& pci(const std::string& address, const std::string& node) {
        return write("sys/bus/pci/devices/" + address + "/numa_node", node);
    }

    Topology topology() const {
        auto read = read_topology(files());
        EXPECT_TRUE(read) << (read ? "" : read.error().message);
        return read ? std::move(*read) : Topology{};
    }

private:
    static std::vector<u32> list_of(const std::string& text) { return parse_cpu_list(text).value(); }

    std::filesystem::path root_;
};

}  // namespace sluice
