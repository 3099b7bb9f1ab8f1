// SPDX-License-Identifier: Apache-2.0
//
// The node's tables, wherever they lie: in the XDP program's maps where there is one, so that it and the
// engines share them, else in this process's memory, from which they go with it. Control thread only.
#pragma once

#include <functional>
#include <memory>

#include "control/compile/compiler.h"
#include "dataplane/io/xdp/xdp_dataplane.h"
#include "dataplane/worker/table_memory.h"

namespace sluice::control {

class NodeTables {
public:
    // `xdp` outlives the tables.
    static std::unique_ptr<NodeTables> of(XdpDataplane& xdp);
    static Result<std::unique_ptr<NodeTables>> in_memory(const MapSizes& sizes);

    node_state& node();
    // Sets node, flows and meters; see TableMemory::fill().
    void fill(struct tables& view);

    Status set_port(u8 number, const node_port& port);
    Status clear_port(u8 number);

    // Puts a snapshot in force; `follow`: see XdpMaps::publish().
    Status publish(const compile::Snapshot& snapshot, const std::function<void(const Image&)>& follow);
    const std::shared_ptr<const Image>& image() const { return image_; }

private:
    NodeTables() = default;

    Result<std::shared_ptr<const Image>> publish_in_memory(const compile::Snapshot& snapshot,
                                                           const std::function<void(const Image&)>& follow);

    XdpDataplane* xdp_ = nullptr;
    std::unique_ptr<TableMemory> memory_;
    std::unique_ptr<PortTable> ports_;
    std::shared_ptr<const Image> image_;
};

}  // namespace sluice::control
