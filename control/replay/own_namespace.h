// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice::replay {

inline constexpr const char* own_bpffs = "/sys/fs/bpf/replay";  // on a BPF file system of this process' own

// Moves this process into a network and a mount namespace of its own, with a BPF file system at own_bpffs.
// Takes CAP_SYS_ADMIN.
Status enter_own_namespace();

// Makes at least `count` devices (ends of veth pairs) in this network namespace; their indexes.
Result<std::vector<u32>> make_devices(size_t count);

}  // namespace sluice::replay
