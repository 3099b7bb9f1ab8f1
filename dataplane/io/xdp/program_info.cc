// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/program_info.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/base/fd.h"

namespace sluice {
namespace {

// libbpf makes a map of its own from each object's constants; its name ends in the section's.
bool holds_constants(u32 map_id) {
    const UniqueFd fd(bpf_map_get_fd_by_id(map_id));
    bpf_map_info info{};
    u32 length = sizeof info;
    if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0) return false;
    return std::string_view(info.name).find('.') != std::string_view::npos;
}

}  // namespace

bool ProgramInfo::shares_maps(const std::vector<u32>& ids) const {
    return std::all_of(ids.begin(), ids.end(), [this](u32 id) {
        return std::find(map_ids.begin(), map_ids.end(), id) != map_ids.end() || holds_constants(id);
    });
}

Result<ProgramInfo> program_info(int fd) {
    bpf_prog_info info{};
    u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) return system_error(errno, "BPF_OBJ_GET_INFO_BY_FD");
    ProgramInfo result{.id = info.id,
                       .tag = std::string(reinterpret_cast<const char*>(info.tag), sizeof info.tag),
                       .map_ids = std::vector<u32>(info.nr_map_ids),
                       .run_count = info.run_cnt,
                       .run_ns = info.run_time_ns};
    bpf_prog_info maps{};
    maps.nr_map_ids = static_cast<u32>(result.map_ids.size());
    maps.map_ids = reinterpret_cast<u64>(result.map_ids.data());
    length = sizeof maps;
    if (bpf_obj_get_info_by_fd(fd, &maps, &length) != 0) return system_error(errno, "BPF_OBJ_GET_INFO_BY_FD");
    return result;
}

u32 program_id(int fd) {
    const auto info = program_info(fd);
    return info ? info->id : 0;
}

}  // namespace sluice
