// SPDX-License-Identifier: Apache-2.0
//
// A node that exists in a configuration only: its ports with made-up device numbers, its tables in private
// memory, and one engine. What replay and tests run packets through.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/compile/compiler.h"
#include "control/compile/prefix.h"
#include "control/config/config.h"
#include "dataplane/io/xdp/xdp_dataplane.h"
#include "dataplane/worker/engine.h"
#include "dataplane/worker/table_memory.h"

namespace sluice::replay {

// Logical ports by number: interfaces and their sub-interfaces as configured. 0 is none.
struct OfflinePorts {
    std::vector<std::string> names;
    std::vector<node_port> ports;
    compile::Environment environment;

    static Result<OfflinePorts> of(const config::Config& config);

    // Number of the port called `name`; nothing when there is none.
    std::optional<u32> find(std::string_view name) const;
};

// Nobody resolves anything here: what the snapshot's routes and neighbours do not answer is a miss.
class OfflineRouter final : public Router {
public:
    // `snapshot` is the one in force until the next call.
    void follow(const compile::Snapshot& snapshot, const config::Config& config);
    u32 route(const pipeline_context& context, const struct address& to, next_hop& hop) override;

private:
    const compile::Snapshot* snapshot_ = nullptr;
    std::set<config::Address> gateways_;
};

class OfflineNode {
public:
    static Result<std::unique_ptr<OfflineNode>> create(const config::Config& config,
                                                       const EngineOptions& options = {});
    // The same on the tables of a loaded XDP program, whose ports are set, and with a copy of its snapshots.
    static Result<std::unique_ptr<OfflineNode>> create(const config::Config& config, OfflinePorts ports,
                                                       XdpDataplane& dataplane);

    // Puts another configuration in force, with the ports of the first.
    Status reload(const config::Config& config);

    // Names `mac` as every port's own whose configuration says `mac: auto`. For the packet to run next.
    void set_station(const u8* mac);

    Engine& engine() { return *engine_; }
    node_state& node() { return *node_; }
    const OfflinePorts& ports() const { return ports_; }
    const compile::Snapshot& snapshot() const { return *snapshot_; }
    const WorkerCounters& counters() const { return *counters_; }
    const struct tables& tables() const { return tables_; }

private:
    OfflineNode() = default;

    Status own_tables(const config::Config& config);
    Status start(const config::Config& config, const EngineOptions& options);

    OfflinePorts ports_;
    std::unique_ptr<compile::Snapshot> snapshot_;
    XdpDataplane* dataplane_ = nullptr;    // whose tables they are; null:
    std::unique_ptr<TableMemory> memory_;  // its own
    node_state* node_ = nullptr;
    std::unique_ptr<WorkerCounters> counters_;
    OfflineRouter router_;
    struct tables tables_ {};
    std::unique_ptr<Engine> engine_;
};

}  // namespace sluice::replay
