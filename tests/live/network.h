// SPDX-License-Identifier: Apache-2.0
//
// A node between a client and a server, in three network namespaces:
//
//     client sl-live-c                this process, a namespace of its own                     server
//     sl-live-s c0 10.99.0.2/24  ------------  n0 10.99.0.1/24    n1 10.99.1.1/24  ------------
//     s1 10.99.1.2/24
//
// Every end has four queues. Neighbours are permanent entries. The ends that send do no checksum or
// segmentation offload: frames of a local stack would otherwise leave a program's redirect with half a
// checksum.
#pragma once

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/wait.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "dataplane/base/fd.h"
#include "dataplane/tables/node.h"

namespace sluice::live {

inline constexpr u8 mac_n0[6] = {2, 0x5c, 0, 0, 0, 0xa0};
inline constexpr u8 mac_c0[6] = {2, 0x5c, 0, 0, 0, 0xc0};
inline constexpr u8 mac_n1[6] = {2, 0x5c, 0, 0, 0, 0xa1};
inline constexpr u8 mac_s1[6] = {2, 0x5c, 0, 0, 0, 0x51};

class Network {
public:
    // Moves the calling thread, and those it starts later, into the node's namespace.
    Network() {
        remove();
        ok_ = unshare(CLONE_NEWNET) == 0 && build();
    }
    ~Network() { remove(); }
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    bool ok() const { return ok_; }

    // Runs `body` in a thread inside namespace `name`.
    static std::thread in(const std::string& name, std::function<void()> body) {
        return std::thread([name, body = std::move(body)] {
            const UniqueFd space(open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC));
            if (!space || setns(space.get(), CLONE_NEWNET) != 0) std::abort();
            body();
        });
    }

    static node_port port(const char* device, const u8 (&mac)[6], u8 number) {
        node_port port{};
        port.ifindex = if_nametoindex(device);
        port.mtu = 1500;
        std::memcpy(port.mac, mac, 6);
        port.device = number;
        return port;
    }

private:
    static bool run(const std::string& command) {
        return std::system((command + " >/dev/null").c_str()) == 0;
    }

    static void remove() {
        run("ip netns del sl-live-c 2>/dev/null");
        run("ip netns del sl-live-s 2>/dev/null");
    }

    static bool link(const std::string& ours, const std::string& our_mac, const std::string& address,
                     const std::string& theirs, const std::string& their_mac, const std::string& peer,
                     const std::string& space) {
        const std::string there = "ip -n " + space + " ";
        const std::string queues = " numrxqueues 4 numtxqueues 4 ";
        return run("ip link add " + ours + " address " + our_mac + queues + "type veth peer name " + theirs +
                   " address " + their_mac + queues) &&
               run("ip link set " + theirs + " netns " + space) &&
               run("ip addr add " + address + "/24 dev " + ours) && run("ip link set " + ours + " up") &&
               run(there + "addr add " + peer + "/24 dev " + theirs) && run(there + "link set lo up") &&
               run(there + "link set " + theirs + " up") && run(there + "route add default via " + address) &&
               run(there + "neigh add " + address + " lladdr " + our_mac + " dev " + theirs) &&
               run("ip neigh add " + peer + " lladdr " + their_mac + " dev " + ours) &&
               run("nsenter --net=/run/netns/" + space + " ethtool -K " + theirs +
                   " tx off tso off gso off gro on") &&
               run("ethtool -K " + ours + " tx off tso off gso off");
    }

    static bool build() {
        return run("ip netns add sl-live-c") && run("ip netns add sl-live-s") && run("ip link set lo up") &&
               run("sysctl -qw net.ipv4.ip_forward=1") &&
               link("n0", "02:5c:00:00:00:a0", "10.99.0.1", "c0", "02:5c:00:00:00:c0", "10.99.0.2",
                    "sl-live-c") &&
               link("n1", "02:5c:00:00:00:a1", "10.99.1.1", "s1", "02:5c:00:00:00:51", "10.99.1.2",
                    "sl-live-s");
    }

    bool ok_ = false;
};

}  // namespace sluice::live
