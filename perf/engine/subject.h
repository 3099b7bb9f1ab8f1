// SPDX-License-Identifier: Apache-2.0
//
// A node in memory (configuration, tables, engine) and the traffic it is measured with.
#pragma once

#include <memory>
#include <string>

#include "control/replay/offline_node.h"
#include "perf/engine/traffic.h"

namespace sluice::perf {

struct SubjectPlan {
    std::string name;
    std::string mode = "nat";
    int rules = 10;
    u32 prefixes = 0;  // of one more set, that a rule drops
    u32 services = 1;  // of IPv4; the traffic is the first one's
    u32 backends = 16;
    u32 table = 1 << 20;  // slots
    bool fill = false;    // with other flows, until it is full
    TrafficPlan traffic;
};

class Subject {
public:
    // Flows of the traffic are entered, and then met long enough that their age and routes are those of
    // steady traffic.
    static Result<std::unique_ptr<Subject>> create(const SubjectPlan& plan);

    // CPU ns per packet over `passes` of all frames, after one that is not timed.
    Result<double> measure(int passes);

    // One pass over the frames as stamped before.
    Status run_pass();

    const std::string& name() const { return plan_.name; }
    replay::OfflineNode& node() { return *node_; }
    Traffic& traffic() { return *traffic_; }
    const SubjectPlan& plan() const { return plan_; }

private:
    explicit Subject(const SubjectPlan& plan) : plan_(plan) {}

    Status enter_flows();

    SubjectPlan plan_;
    std::unique_ptr<replay::OfflineNode> node_;
    std::unique_ptr<Traffic> traffic_;
    u64 clock_ = 0;        // ns that this subject has run: what its packets see as time
    u64 pass_cpu_ns_ = 0;  // of the last pass
};

}  // namespace sluice::perf
