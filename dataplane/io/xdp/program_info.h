// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/packet/target.h"

namespace sluice {

// What the kernel says about a loaded program.
struct ProgramInfo {
    u32 id = 0;
    std::string tag;  // digest of its instructions, raw
    std::vector<u32> map_ids;
    u64 run_count = 0;
    u64 run_ns = 0;

    // Whether it uses all of `ids`, except maps of the program's own (constants).
    bool shares_maps(const std::vector<u32>& ids) const;
};

Result<ProgramInfo> program_info(int fd);
u32 program_id(int fd);  // 0 when `fd` is no program

}  // namespace sluice
