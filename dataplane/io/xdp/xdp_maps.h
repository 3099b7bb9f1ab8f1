// SPDX-License-Identifier: Apache-2.0
//
// The XDP program's maps: created or adopted, pinned, and mapped into this process, where the engine's
// workers use the same memory as the program.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "dataplane/base/fd.h"
#include "dataplane/base/mapping.h"
#include "dataplane/io/xdp/map_sizes.h"

namespace sluice {

class SkeletonHandle;

// A published snapshot: the bytes of the inner map, mapped. They live as long as somebody holds them.
struct Image {
    Mapping memory;
    u32 lines = 0;
    u32 generation = 0;

    const image_line* data() const { return memory.as<const image_line>(); }
    // For what may change under its readers: backends' states and rings, entry by entry.
    image_line* writable() const { return memory.as<image_line>(); }
};

class XdpMaps {
public:
    // Adopts the maps pinned in `directory` (on a BPF file system) if all are there with the sizes and the
    // layout wanted; else removes their pins, and creates and pins new ones. The error names the map.
    static Result<std::unique_ptr<XdpMaps>> open(const std::string& directory, const MapSizes& sizes);

    // What open() found.
    bool adopted() const { return adopted_; }
    const std::string& adoption_note() const { return note_; }  // why it started clean, or what was adopted

    const MapSizes& sizes() const { return sizes_; }
    const std::string& directory() const { return directory_; }

    // Descriptor of a map by its name in bpf/maps.h, -1 for an unknown one; and all of them.
    int fd(const std::string& name) const;
    const std::map<std::string, UniqueFd>& all() const { return fds_; }

    node_state& node() const { return *node_.as<node_state>(); }

    // Sets what tables that lie in maps' memory have in common for all workers: node, flows, meters. Image,
    // counters, scratch slot and surroundings are the worker's own.
    void fill(struct tables& tables) const;

    // Puts a compiled image in force, for the program at once (on return no CPU runs on the old one). The
    // filters are the new snapshot's; the node's become the union of old and new before the swap and the new
    // ones after it. `follow` is called between the swap and node_state.generation: engines must have taken
    // the image over when it returns. The old image may be let go of after that.
    Result<std::shared_ptr<const Image>> publish(std::span<const image_line> lines, u32 generation,
                                                 const interest& destination, const interest& source,
                                                 const std::function<void(const Image&)>& follow = {});

    // The snapshot in force, e.g. after adoption; empty when there is none.
    std::shared_ptr<const Image> image() const { return image_; }

    // Removes the pins; the maps go with their last user.
    Status unpin() const;

private:
    XdpMaps() = default;

    bool adopt(const SkeletonHandle& skeleton);
    bool is_own_pin(const std::string& name) const;
    Status create(const SkeletonHandle& skeleton);
    void initialize_node();
    Status map_memory();
    Status find_image();
    Result<Mapping> map_array(const std::string& name, size_t value_size, size_t entries) const;

    std::string directory_;
    MapSizes sizes_;
    bool adopted_ = false;
    std::string note_;
    std::set<std::string> names_;  // of all maps
    std::map<std::string, UniqueFd> fds_;
    Mapping node_, flow_tags_, flows_, flow_addresses_, flow_counters_, meters_, source_meters_;
    std::shared_ptr<const Image> image_;
};

}  // namespace sluice
