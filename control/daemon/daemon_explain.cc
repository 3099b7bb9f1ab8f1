// SPDX-License-Identifier: Apache-2.0
//
// What would happen: to a packet, and to the node under another configuration.
#include <algorithm>
#include <map>

#include "control/compile/prefix.h"
#include "control/daemon/config_changes.h"
#include "control/daemon/explainer.h"
#include "control/daemon/flow_judge.h"
#include "control/daemon/on_loop.h"
#include "control/daemon/probe_frame.h"
#include "control/daemon/ticks.h"
#include "dataplane/base/clock.h"

namespace sluice::control {

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 30s;

std::vector<std::string> rule_names(const config::Config& config) {
    std::vector<std::string> names;
    for (const config::Rule& rule : config.policy.rules) names.push_back(rule.name);
    return names;
}

}  // namespace

// A configuration that is not in force, with all that packets would be judged by if it were.
struct Daemon::Foreseen {
    Candidate candidate;
    Naming naming;
    node_state node;
    std::set<compile::BackendKey> off;  // backends that get nothing
};

Result<std::shared_ptr<const Daemon::Foreseen>> Daemon::foresee(const std::string& file) {
    Result<Moved> read = load_moved(file);
    if (!read) return read.error();
    Result<Candidate> candidate = prepare(std::move(read->config), read->moves);
    if (!candidate) return candidate.error();
    auto out = std::make_shared<Foreseen>();
    out->candidate = std::move(*candidate);
    const Candidate& next = out->candidate;
    out->naming.generation = next.snapshot.generation;
    out->naming.identities = next.snapshot.identities;
    out->naming.rules = rule_names(next.config);
    for (const auto& [name, number] : next.numbers.all()) out->naming.ports[number] = name;
    std::memcpy(&out->node, &tiers_->node(), sizeof out->node);
    PortTable ports(out->node);
    for (u8 number = 1; number < NODE_PORTS; ++number) ports.clear(number);
    for (const PortSetting& port : next.ports) {
        if (!port.present) continue;
        if (Status status = ports.set(port.number, port.port); !status) return status.error();
    }
    out->node.destination = next.snapshot.interests.destination;
    out->node.source = next.snapshot.interests.source;
    out->node.generation = next.snapshot.generation;
    std::copy(next.snapshot.timeouts.begin(), next.snapshot.timeouts.end(), out->node.timeout);
    out->off = backend_states_->off(next.config);
    return std::shared_ptr<const Foreseen>(std::move(out));
}

DeviceTiers Daemon::tiers_of(u32 ifindex) const {
    DeviceTiers out;
    for (const PortSetting& port : ports_) {
        if (!port.present || port.port.ifindex != ifindex || port.name != port.device) continue;
        for (const api::TierReport& tier : tiers_->tier_reports(plans_.at(port.name))) {
            if (tier.active && tier.tier == "xdp") out.xdp = true;
            if (tier.active && tier.tier != "xdp") out.engine = tier.tier;
        }
    }
    return out;
}

// The port that NAME stands for; without a name the one that leads to the source, else the first.
Result<const PortSetting*> Daemon::ingress_for(const std::vector<PortSetting>& ports, const std::string& name,
                                               const config::Address* source) const {
    if (!name.empty()) {
        const auto at =
            std::find_if(ports.begin(), ports.end(), [&](const auto& p) { return p.name == name; });
        if (at != ports.end() && at->present) return &*at;
        return make_error("interface: value \"{}\": expected one that is configured and there", name);
    }
    netlink::RouteAnswer answer;
    if (source != nullptr) answer = mirror_->view().resolve(compile::to_address(*source), 0);
    const PortSetting* first = nullptr;
    for (const PortSetting& port : ports) {
        if (!port.present) continue;
        if (first == nullptr) first = &port;
        if (answer.device == port.port.ifindex && answer.vlan == port.port.vlan) return &port;
    }
    if (first == nullptr) return make_error("interface: expected one that is there: there is none");
    return first;
}

Result<api::ExplainAnswer> Daemon::explain_now(const api::ExplainRequest& request, const Foreseen* foreseen) {
    const std::vector<PortSetting>& ports = foreseen != nullptr ? foreseen->candidate.ports : ports_;
    ExplainSubject subject;
    tiers_->tables().fill(subject.live);
    subject.node = foreseen != nullptr ? &foreseen->node : &tiers_->node();
    subject.image =
        foreseen != nullptr ? foreseen->candidate.snapshot.lines.data() : tiers_->tables().image()->data();
    subject.naming = foreseen != nullptr ? &foreseen->naming : naming_.get();
    subject.kernel = &mirror_->view();
    subject.policy = foreseen != nullptr ? &foreseen->candidate.config.policy : &config_.policy;
    subject.tiers = [this](u32 ifindex) { return tiers_of(ifindex); };
    subject.backend_ends = [this, foreseen](u16 id) {
        const compile::BackendKey* key = naming_->identities.backends.name(id);
        if (foreseen == nullptr || key == nullptr) return false;
        return !foreseen->naming.identities.backends.find(*key) || foreseen->off.contains(*key);
    };
    const auto explainer = Explainer::create(std::move(subject));
    if (!explainer) return explainer.error();
    std::vector<std::vector<u8>> frames = request.frames;
    const config::Address* source = nullptr;
    ProbeFrame probe;
    if (frames.empty()) {
        Result<ProbeFrame> asked = parse_probe(request.protocol, request.source, request.destination);
        if (!asked) return asked.error();
        probe = *asked;
        source = &probe.source.address;
    }
    const Result<const PortSetting*> ingress = ingress_for(ports, request.interface, source);
    if (!ingress) return ingress.error();
    const node_port& port = (*ingress)->port;
    if (frames.empty()) {
        std::copy(std::begin(port.mac), std::end(port.mac), probe.station.begin());
        probe.vlan = port.vlan;
        frames.push_back(frame_of(probe));
    }
    api::ExplainAnswer answer;
    for (const std::vector<u8>& frame : frames)
        answer.packets.push_back((*explainer)->explain(frame, port.ifindex, monotonic_ns()));
    return answer;
}

api::FlowChanges Daemon::changes_of(const Foreseen& foreseen, const struct tables& tables,
                                    const Naming& now) const {
    return judge_flows(tables, now, foreseen.candidate.snapshot, foreseen.naming.rules, foreseen.off,
                       ticks_now());
}

Result<api::ExplainAnswer> Daemon::explain(const api::ExplainRequest& request) {
    struct Told {
        Result<api::ExplainAnswer> answer;
        std::shared_ptr<const Foreseen> foreseen;
        std::shared_ptr<const Naming> naming;
        struct tables tables;
    };
    auto told = on_loop<Told>(
        [this, &request]() -> Told {
            Told out{make_error("no interface has a tier of ours: every packet passes to the host"),
                     {},
                     naming_,
                     {}};
            if (!tiers_->is_open()) return out;
            tiers_->tables().fill(out.tables);
            if (!request.config.empty()) {
                auto foreseen = foresee(request.config);
                if (!foreseen) {
                    out.answer = foreseen.error();
                    return out;
                }
                out.foreseen = std::move(*foreseen);
            }
            out.answer = explain_now(request, out.foreseen.get());
            return out;
        },
        patience);
    if (!told) return told.error();
    if (told->answer && told->foreseen)
        (*told->answer).changes = changes_of(*told->foreseen, told->tables, *told->naming);
    return std::move(told->answer);
}

Result<api::DiffReport> Daemon::config_diff(const std::string& file) {
    struct Told {
        Result<std::shared_ptr<const Foreseen>> foreseen;
        std::shared_ptr<const Naming> naming;
        struct tables tables;
        api::DiffReport report;
    };
    auto told = on_loop<Told>(
        [this, &file]() -> Told {
            Told out{make_error("no interface has a tier of ours"), naming_, {}, {}};
            if (!tiers_->is_open()) return out;
            tiers_->tables().fill(out.tables);
            out.foreseen = foresee(file);
            if (!out.foreseen) return out;
            const config::Config& next = (*out.foreseen)->candidate.config;
            out.report.changes = config_changes(config_, next);
            if (Status status = check_unchangeable(next); !status)
                out.report.refused = status.error().message;
            return out;
        },
        patience);
    if (!told) return told.error();
    if (!told->foreseen) return told->foreseen.error();
    told->report.flows = changes_of(**told->foreseen, told->tables, *told->naming);
    return std::move(told->report);
}

}  // namespace sluice::control
