// SPDX-License-Identifier: Apache-2.0
// The embedded XDP object (bpf/sluice.bpf.c), opened. For the sources of this directory.
#pragma once

#include <memory>
#include <string>

#include "dataplane/base/result.h"
#include "dataplane/io/xdp/map_sizes.h"

struct bpf_map;
struct bpf_object;
struct bpf_program;
struct sluice_bpf;  // bpftool's skeleton

namespace sluice {

class XdpMaps;

inline constexpr const char* xdp_program_name = "sluice_xdp";
inline constexpr const char* link_pin_prefix = "link_";  // of an interface's name

class SkeletonHandle {
public:
    explicit SkeletonHandle(sluice_bpf* skeleton) : skeleton_(skeleton) {}
    ~SkeletonHandle();
    SkeletonHandle(const SkeletonHandle&) = delete;
    SkeletonHandle& operator=(const SkeletonHandle&) = delete;

    bpf_object* object() const;
    bpf_program* program() const;

private:
    sluice_bpf* skeleton_;
};

// Opened, not loaded, its maps sized.
Result<std::unique_ptr<SkeletonHandle>> open_skeleton(const MapSizes& sizes);
// The same on `maps` instead of maps of its own.
Result<std::unique_ptr<SkeletonHandle>> open_skeleton(const XdpMaps& maps);

}  // namespace sluice
