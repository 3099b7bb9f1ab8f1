// SPDX-License-Identifier: Apache-2.0
//
// Which loop accepts a connection on a machine of several memory nodes: one on the node whose CPU received
// the SYN, drawn at random among them, so that a connection's memory and its loop are on one node. By a
// classic BPF program on the listeners' reuseport group (SO_ATTACH_REUSEPORT_CBPF). On one node the kernel's
// own choice, by hash, does as well. For TCP alone: datagrams of a session have to stay with their loop.
#pragma once

#include <linux/filter.h>

#include <optional>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/placement/topology.h"

namespace sluice::proxy {

// `node_of_loop`: by the loops' order in the group. What arrives on a node without loops is left to the
// kernel's hash.
std::vector<sock_filter> balance_program(const std::vector<Cpu>& cpus, const std::vector<u32>& node_of_loop);

// Of this machine, for loops on these CPUs (-1: any); empty where there is nothing to choose between.
std::vector<sock_filter> balance_program(const std::vector<int>& cpu_of_loop);

// `fd`: any socket of the group.
Status balance_accepts(int fd, const std::vector<sock_filter>& program);

}  // namespace sluice::proxy
