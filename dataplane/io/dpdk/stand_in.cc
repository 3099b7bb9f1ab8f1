// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dpdk/stand_in.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "bpf/stand_in.skel.h"

namespace sluice {
namespace {

constexpr const char* program_name = "sluice_stand_in";

bool is_ours(u32 id) {
    const UniqueFd program(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    u32 length = sizeof info;
    return program && bpf_obj_get_info_by_fd(program.get(), &info, &length) == 0 &&
           std::strncmp(info.name, program_name, sizeof info.name - 1) == 0;
}

}  // namespace

Result<std::unique_ptr<StandIn>> StandIn::create() {
    size_t size = 0;
    const void* bytes = stand_in_bpf::elf_bytes(&size);
    UniqueFd file(memfd_create("sluice-stand-in", MFD_CLOEXEC));
    if (!file || write(file.get(), bytes, size) != static_cast<ssize_t>(size))
        return system_error(errno, "XDP program for net_af_xdp: no file in memory");
    return std::unique_ptr<StandIn>(new StandIn(std::move(file)));
}

std::string StandIn::path() const { return fmt::format("/proc/self/fd/{}", file_.get()); }

Status StandIn::take_off(u32 ifindex) {
    LIBBPF_OPTS(bpf_xdp_query_opts, found);
    for (const u32 flags : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
        if (bpf_xdp_query(static_cast<int>(ifindex), static_cast<int>(flags), &found) != 0) continue;
        const u32 id = flags == XDP_FLAGS_DRV_MODE ? found.drv_prog_id : found.skb_prog_id;
        if (id == 0 || !is_ours(id)) continue;
        if (const int code = bpf_xdp_detach(static_cast<int>(ifindex), flags, nullptr); code != 0)
            return system_error(code, "the program that net_af_xdp attached cannot be taken off");
    }
    return {};
}

}  // namespace sluice
