// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/xdp/xdp_skeleton.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>

#include "bpf/sluice.skel.h"
#include "dataplane/io/xdp/kernel_words.h"
#include "dataplane/io/xdp/xdp_maps.h"

namespace sluice {
namespace {

// Of the maps that bpf/maps.h gives size 1 because the configuration decides.
Status set_sizes(const bpf_object* object, const MapSizes& sizes) {
    const u32 slots = sizes.flows + FLOW_SCRATCH;
    const struct {
        const char* name;
        u32 entries;
    } wanted[] = {
        {"flow_tags", sizes.flows / FLOW_BUCKET_SLOTS},
        {"flows", slots},
        {"flow_addresses", slots},
        {"flow_counters", slots},
        {"meters", sizes.rules},
        {"source_meters", sizes.source_meters / METER_BUCKET_SIZE},
        {"backend_counters", sizes.backends},
        {"rule_counters", sizes.rules},
    };
    for (const auto& [name, entries] : wanted) {
        bpf_map* map = bpf_object__find_map_by_name(object, name);
        const int code = map == nullptr ? -ENOENT : bpf_map__set_max_entries(map, entries);
        if (code != 0) return system_error(code, "map {}: cannot have {} entries", name, entries);
    }
    return {};
}

}  // namespace

SkeletonHandle::~SkeletonHandle() { sluice_bpf__destroy(skeleton_); }
bpf_object* SkeletonHandle::object() const { return skeleton_->obj; }
bpf_program* SkeletonHandle::program() const { return skeleton_->progs.sluice_xdp; }

Result<std::unique_ptr<SkeletonHandle>> open_skeleton(const MapSizes& sizes) {
    const KernelWords words;
    sluice_bpf* opened = sluice_bpf__open();
    if (opened == nullptr)
        return system_error(errno, "the embedded XDP object cannot be opened{}", words.suffix());
    auto handle = std::make_unique<SkeletonHandle>(opened);
    if (auto sized = set_sizes(handle->object(), sizes); !sized) return sized.error();
    return handle;
}

Result<std::unique_ptr<SkeletonHandle>> open_skeleton(const XdpMaps& maps) {
    auto handle = open_skeleton(maps.sizes());
    if (!handle) return handle;
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, (*handle)->object()) {
        if (bpf_map__is_internal(map)) continue;
        const char* name = bpf_map__name(map);
        if (const int code = bpf_map__reuse_fd(map, maps.fd(name)); code != 0)
            return system_error(code, "map {}: the program cannot use it", name);
    }
    return handle;
}

}  // namespace sluice
