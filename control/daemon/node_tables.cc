// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/node_tables.h"

#include <algorithm>

#include "dataplane/io/xdp/snapshot_switch.h"

namespace sluice::control {

std::unique_ptr<NodeTables> NodeTables::of(XdpDataplane& xdp) {
    std::unique_ptr<NodeTables> tables(new NodeTables);
    tables->xdp_ = &xdp;
    tables->image_ = xdp.maps().image();
    return tables;
}

Result<std::unique_ptr<NodeTables>> NodeTables::in_memory(const MapSizes& sizes) {
    auto memory = TableMemory::create({sizes.flows, sizes.source_meters, sizes.backends, sizes.rules});
    if (!memory) return memory.error();
    std::unique_ptr<NodeTables> tables(new NodeTables);
    tables->memory_ = std::make_unique<TableMemory>(*std::move(memory));
    tables->ports_ = std::make_unique<PortTable>(tables->memory_->node());
    return tables;
}

node_state& NodeTables::node() { return xdp_ != nullptr ? xdp_->node() : memory_->node(); }

void NodeTables::fill(struct tables& view) {
    if (xdp_ != nullptr) return xdp_->maps().fill(view);
    memory_->fill(view);
}

Status NodeTables::set_port(u8 number, const node_port& port) {
    return xdp_ != nullptr ? xdp_->set_port(number, port) : ports_->set(number, port);
}

Status NodeTables::clear_port(u8 number) {
    if (xdp_ != nullptr) return xdp_->clear_port(number);
    ports_->clear(number);
    return {};
}

Status NodeTables::publish(const compile::Snapshot& snapshot,
                           const std::function<void(const Image&)>& follow) {
    std::copy(snapshot.timeouts.begin(), snapshot.timeouts.end(), node().timeout);
    auto image = xdp_ != nullptr
                     ? xdp_->publish(snapshot.lines, snapshot.generation, snapshot.interests.destination,
                                     snapshot.interests.source, follow)
                     : publish_in_memory(snapshot, follow);
    if (!image) return image.error();
    image_ = *std::move(image);
    return {};
}

Result<std::shared_ptr<const Image>> NodeTables::publish_in_memory(
    const compile::Snapshot& snapshot, const std::function<void(const Image&)>& follow) {
    const size_t bytes = snapshot.lines.size() * sizeof(image_line);
    auto memory = Mapping::anonymous(bytes, bytes >= Mapping::huge_page_size);
    if (!memory) return memory.error().with_context(fmt::format("snapshot {}", snapshot.generation));
    std::memcpy(memory->data(), snapshot.lines.data(), bytes);
    auto image = std::make_shared<const Image>(
        Image{*std::move(memory), static_cast<u32>(snapshot.lines.size()), snapshot.generation});
    const auto turn = [&]() -> Status {
        follow(*image);
        return {};
    };
    const Status status = switch_snapshot(node(), snapshot.generation, snapshot.interests.destination,
                                          snapshot.interests.source, turn);
    if (!status) return status.error();
    return image;
}

}  // namespace sluice::control
