// SPDX-License-Identifier: Apache-2.0
//
// What the pipeline decides about a packet, stage by stage: the packet path's own code over the snapshot and
// the live flow table, which are only read. What the stages write goes into small tables of the explainer's
// own, into which a packet's live flow is copied before it is asked about; they last as long as the
// explainer, so that the packets of a capture see the flows of those before them. Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "control/api/model.h"
#include "control/config/config.h"
#include "control/daemon/naming.h"
#include "dataplane/io/netlink/kernel_view.h"
#include "dataplane/worker/fragments.h"
#include "dataplane/worker/table_memory.h"

namespace sluice::control {

// Which tiers serve the packets of a device.
struct DeviceTiers {
    bool xdp = false;
    std::string engine;  // af_xdp or dpdk; empty: none
};

// All that packets are judged by; it outlives the explainer.
struct ExplainSubject {
    struct tables live {};    // flows and meters
    const node_state* node;   // ports, filters and time-outs: the live ones, or a candidate's
    const image_line* image;  // snapshot
    const Naming* naming;     // of that snapshot
    const netlink::KernelView* kernel;
    const config::Policy* policy;  // that the snapshot was compiled from
    std::function<DeviceTiers(u32 ifindex)> tiers;
    std::function<bool(u16 id)> backend_ends;  // its flows would be ended before the first packet
};

class Explainer final : public Surroundings {
public:
    static Result<std::unique_ptr<Explainer>> create(ExplainSubject subject);
    ~Explainer() override;

    // `frame`: from the Ethernet header on, as received from device `ifindex` at `now_ns` (CLOCK_MONOTONIC).
    api::ExplainReport explain(std::span<const u8> frame, u32 ifindex, u64 now_ns);

    // For the pipeline: what a stage answered.
    void note(const char* stage, u32 word);

    u32 route(const pipeline_context& context, const address& to, next_hop& hop) override;
    u32 fragment(pipeline_context& context) override;
    u32 evaluate(pipeline_context& context, const image_rule& rule) override;

private:
    Explainer(ExplainSubject subject, TableMemory memory, WorkerCounters counters);

    u32 run(std::span<const u8> bytes, u32 ifindex, u32 punts);
    u32 run_inside(u32 ifindex);
    u32 run_proxied(u32 word);
    void borrow_flow();
    void borrow_alias(const struct flow& alias, u32 alias_index, u32 index);
    bool enter(const struct flow& from, u32 from_index, struct flow_ref& to);
    void conclude(u32 word, u32 handed_over, const DeviceTiers& tiers, api::ExplainReport& report);
    std::string asked_text() const;
    api::ExplainQuestion question(u32 word) const;
    void borrow_meters();

    ExplainSubject subject_;
    TableMemory memory_;
    WorkerCounters counters_;
    FragmentTable fragments_;
    struct pipeline pipeline_ {};
    pipeline_context context_{};
    flow_place place_{};
    std::vector<u8> buffer_;
    std::vector<api::ExplainStep> steps_;
    bool in_program_ = false;  // the run under way is the XDP program's
    bool proxied_ = false;     // the proxy asks, which has nobody to evaluate
    bool asked_ = false;       // by the run under way
};

// The conditions of a rule with `action: evaluate`, in the order in which they are asked.
std::vector<std::string> conditions_of(const config::When& when);

// What a stage has to say besides its verdict; nothing for a stage that had nothing to do.
std::string stage_text(const struct pipeline& s, const std::string& stage, const Naming& naming);
// "drop: policy", "handed over: service"
std::string word_text(u32 word);

}  // namespace sluice::control
