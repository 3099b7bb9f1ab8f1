// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/pinned_text.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/packet/target.h"

namespace sluice {

namespace {

constexpr const char* map_name = "sluice_text";

}  // namespace

Status write_pinned_text(const std::string& directory, const std::string& name, const std::string& text) {
    const std::string path = directory + "/" + name;
    const std::string next = path + "_next";
    const std::string value = text + '\0';
    const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, map_name, sizeof(u32),
                                      static_cast<u32>(value.size()), 1, nullptr));
    if (!map) return system_error(errno, "{}: a map of {} bytes", path, value.size());
    const u32 zero = 0;
    if (bpf_map_update_elem(map.get(), &zero, value.data(), BPF_ANY) != 0)
        return system_error(errno, "{}", path);
    unlink(next.c_str());
    if (bpf_obj_pin(map.get(), next.c_str()) != 0) return system_error(errno, "{}: cannot pin", next);
    if (std::rename(next.c_str(), path.c_str()) != 0) return system_error(errno, "{}: cannot replace", path);
    return {};
}

Result<std::optional<std::string>> read_pinned_text(const std::string& directory, const std::string& name) {
    const std::string path = directory + "/" + name;
    const UniqueFd map(bpf_obj_get(path.c_str()));
    if (!map && errno == ENOENT) return std::optional<std::string>();
    if (!map) return system_error(errno, "{}", path);
    bpf_map_info info{};
    u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(map.get(), &info, &length) != 0) return system_error(errno, "{}", path);
    std::vector<char> value(info.value_size + size_t{8});  // the kernel rounds up to eight
    const u32 zero = 0;
    if (bpf_map_lookup_elem(map.get(), &zero, value.data()) != 0) return system_error(errno, "{}", path);
    return std::optional<std::string>(value.data());
}

bool is_pinned_text(const std::string& path) {
    const UniqueFd map(bpf_obj_get(path.c_str()));
    bpf_map_info info{};
    u32 length = sizeof info;
    return map && bpf_obj_get_info_by_fd(map.get(), &info, &length) == 0 &&
           std::string_view(info.name) == map_name;
}

}  // namespace sluice
