// SPDX-License-Identifier: Apache-2.0
// The part of XdpMaps that swaps snapshots.
#include <bpf/bpf.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "dataplane/io/xdp/snapshot_switch.h"
#include "dataplane/io/xdp/xdp_maps.h"

namespace sluice {
namespace {

Result<UniqueFd> create_image_map(u32 generation, u32 lines) {
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
    const std::string name = fmt::format("image_{}", generation % 100'000'000);
    UniqueFd fd(
        bpf_map_create(BPF_MAP_TYPE_ARRAY, name.c_str(), sizeof(u32), sizeof(image_line), lines, &options));
    if (!fd) {
        return system_error(errno, "snapshot {}: no BPF map of {} lines ({} KiB)", generation, lines,
                            u64{lines} * sizeof(image_line) / 1024);
    }
    return fd;
}

}  // namespace

Result<std::shared_ptr<const Image>> XdpMaps::publish(std::span<const image_line> lines, u32 generation,
                                                      const interest& destination, const interest& source,
                                                      const std::function<void(const Image&)>& follow) {
    auto inner = create_image_map(generation, static_cast<u32>(lines.size()));
    if (!inner) return inner.error();
    auto memory = Mapping::of_fd(inner->get(), lines.size_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED);
    if (!memory) return memory.error().with_context(fmt::format("snapshot {}", generation));
    std::memcpy(memory->data(), lines.data(), lines.size_bytes());

    auto image =
        std::make_shared<const Image>(Image{*std::move(memory), static_cast<u32>(lines.size()), generation});
    const auto turn = [&]() -> Status {
        const u32 zero = 0;
        const int value = inner->get();
        if (bpf_map_update_elem(fd("snapshot"), &zero, &value, BPF_ANY) != 0)
            return system_error(errno, "snapshot {}: cannot be put into map snapshot", generation);
        if (follow) follow(*image);
        return {};
    };
    if (Status status = switch_snapshot(node(), generation, destination, source, turn); !status)
        return status.error();
    image_ = image;
    return image;
}

Status XdpMaps::find_image() {
    const u32 zero = 0;
    u32 id = 0;
    if (bpf_map_lookup_elem(fd("snapshot"), &zero, &id) != 0) {
        if (errno == ENOENT) return {};
        return system_error(errno, "map snapshot: cannot be read");
    }
    const UniqueFd inner(bpf_map_get_fd_by_id(id));
    if (!inner) return system_error(errno, "snapshot in force: map {} cannot be opened", id);
    bpf_map_info info{};
    u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(inner.get(), &info, &length) != 0)
        return system_error(errno, "snapshot in force: map {}", id);
    auto memory = Mapping::of_fd(inner.get(), size_t{info.max_entries} * sizeof(image_line),
                                 PROT_READ | PROT_WRITE, MAP_SHARED);
    if (!memory) return memory.error().with_context("snapshot in force");
    const u32 generation = memory->as<image_header>()->generation;
    image_ = std::make_shared<const Image>(Image{*std::move(memory), info.max_entries, generation});
    return {};
}

}  // namespace sluice
